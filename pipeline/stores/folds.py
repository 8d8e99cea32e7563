"""Cut the past into folds, and forecast a fold: fit each model on the days before it, and keep what it says.

Folds are `horizon` days long and follow each other without a gap; the last one ends on the last day of data. For each
fold, features are built as of its first day, and every candidate is fitted on history and forecasts the fold.
"""

from __future__ import annotations

import datetime as dt
import logging
import resource
import sys
from dataclasses import dataclass, replace
from operator import itemgetter
from time import perf_counter
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from pipeline.errors import RefusedError, UsageError
from pipeline.logs import log_each
from pipeline.stores.features import MIN_HISTORY_DAYS, store_features
from pipeline.stores.model import forecast_rows, to_frame, training_rows
from pipeline.stores.slices import SLICED_COLUMNS, store_histories

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.stores.model import Fit, Model

    Floats = NDArray[np.float64]

log = logging.getLogger(__name__)

HORIZON = 42
FOLD_COUNT = 3
FORECAST_COLUMNS = (
    *("store", "state", "store_type", "day", "ahead", "scale", "season_scale", "sales", "mean", "model", "made_on"),
)
SCORED_COLUMNS = tuple(
    name for name in dict.fromkeys([*FORECAST_COLUMNS, *SLICED_COLUMNS]) if name not in ("mean", "model")
)
"""What scoring needs of the rows of a fold."""


@dataclass(frozen=True)
class Fold:
    """The days from `start` to `end`, both included; the forecast is made on `start`."""

    start: dt.date
    end: dt.date


@dataclass(frozen=True)
class FoldForecasts:
    """What the models forecast of one fold.

    Attributes:
        fold: the days that were forecast.
        rows: features and sales of the days with sales, and made_on, the fold's first day.
        histories: `slices.store_histories` as of that day.
        means: by model, the forecasts of the rows, (rows,).
        costs: by model, the seconds of "fit" and "predict" and "peak_mb", the peak memory of the process so far in MB.
        feature_seconds: duration of building the features.
        models: as fitted for the fold; empty where only the forecasts were kept.
    """

    fold: Fold
    rows: pd.DataFrame
    histories: pd.DataFrame
    means: dict[str, Floats]
    costs: dict[str, dict[str, float]]
    feature_seconds: float
    models: dict[str, Model]

    def lean(self) -> FoldForecasts:
        """Return what scoring needs: no models, and no other features than those of `SCORED_COLUMNS`."""
        return replace(self, rows=self.rows[list(SCORED_COLUMNS)], models={})

    def of_model(self, model: str) -> pd.DataFrame:
        """Return the rows with the model's name and its forecasts, mean."""
        return self.rows.assign(mean=self.means[model], model=model)


def folds(first: dt.date, last: dt.date, *, count: int = FOLD_COUNT, horizon: int = HORIZON) -> list[Fold]:
    """Return `count` folds of `horizon` days, oldest first; the last one ends on `last`.

    Args:
        first: the first day of data.
        last: the last day of data.
        count: how many folds.
        horizon: days per fold.

    Raises:
        UsageError: if count is below 1.
        RefusedError: if there is too little history before the oldest fold.
    """
    if count < 1:
        raise UsageError("a backtest needs at least one fold", observed=count, allowed="1 or more")
    starts = [last - dt.timedelta(days=k * horizon - 1) for k in range(count, 0, -1)]
    required = dt.timedelta(days=MIN_HISTORY_DAYS + horizon)
    if starts[0] - first < required:
        raise RefusedError(
            "there is too little history for that many folds",
            where="table store_days",
            observed=f"{(starts[0] - first).days} days before {starts[0]}",
            allowed=f"{required.days} days or more",
            todo="ask for fewer folds, or ingest earlier days",
        )
    return [Fold(start, start + dt.timedelta(days=horizon - 1)) for start in starts]


def forecast_fold(
    con: Backend, store_days: ir.Table, stores: ir.Table, fold: Fold, candidates: Mapping[str, Fit], *, seed: int
) -> FoldForecasts:
    """Fit every candidate on the days before a fold, and forecast the fold."""
    started = perf_counter()
    horizon = (fold.end - fold.start).days + 1
    table = store_features(con, store_days, stores, fold.start, horizon=horizon)
    features = to_frame(table)
    con.drop_table(table.op().name)
    feature_seconds = perf_counter() - started
    train, ahead = training_rows(features), forecast_rows(features)
    actual = actual_sales(store_days, fold, ahead)
    models, means, costs = {}, {}, {}
    for name, fit in log_each(log, "fit", list(candidates.items()), itemgetter(0)):
        started = perf_counter()
        models[name] = fit(train, seed)
        fitted = perf_counter()
        means[name] = models[name].predict(ahead)[actual > 0]
        peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kilobytes elsewhere
        costs[name] = {
            "fit": fitted - started,
            "predict": perf_counter() - fitted,
            "peak_mb": peak_memory / (2**20 if sys.platform == "darwin" else 2**10),
        }
    rows = ahead[actual > 0].copy().assign(sales=actual[actual > 0], made_on=fold.start)  # the copy has whole blocks
    return FoldForecasts(fold, rows, store_histories(store_days, fold.start), means, costs, feature_seconds, models)


def actual_sales(store_days: ir.Table, fold: Fold, ahead: pd.DataFrame) -> Floats:
    """Return the actual sales of the rows of `ahead`, in their order; NaN where there are none."""
    inside = store_days.filter(store_days.day.between(ibis.date(fold.start), ibis.date(fold.end)))
    sales = inside.select("store", "day", "sales").to_pandas().set_index(["store", "day"])["sales"]
    return np.asarray(sales.reindex(pd.MultiIndex.from_frame(ahead[["store", "day"]])), dtype=float)
