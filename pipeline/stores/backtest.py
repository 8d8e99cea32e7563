"""Measure forecasts on past days: fit each model on the days before a fold, forecast the fold, and compare with sales.

Folds are `horizon` days long and follow each other without a gap; the last one ends on the last day of data. For each
fold, features are built as of its first day, and every candidate is fitted on history and forecasts the fold. Only days
with sales > 0 are scored. The intervals of a fold are calibrated on the forecasts of the folds before it, so
`calibration_folds` earlier folds are forecast but not reported.

RMSPE   root mean squared percentage error, sqrt(mean(((y - f) / y)^2)), as a fraction: the loss of the models, because
        planning needs forecasts that are equally exact, in proportion, for small and large stores
WAPE    sum of absolute errors / sum of sales: the error of the chain's stock, which single odd days hardly affect
bias    mean of f / y - 1, as a fraction: above 0 the forecasts are too high; `bias_total`, sum of f / sum of y - 1
"""

from __future__ import annotations

import datetime as dt
import logging
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from time import perf_counter
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from pipeline.errors import RefusedError, UsageError
from pipeline.logs import log_each
from pipeline.stores.features import MIN_HISTORY_DAYS, store_features
from pipeline.stores.intervals import Intervals, calibrate
from pipeline.stores.model import Fit, Model, forecast_rows, to_frame, training_rows
from pipeline.stores.slices import slices, store_histories
from pipeline.stores.sums import calibrate_sums, coverage_of_sums
from pipeline.training.metrics import regression_metrics

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

log = logging.getLogger(__name__)

HORIZON = 42
FOLD_COUNT = 3
CALIBRATION_FOLDS = 2
FORECAST_COLUMNS = (
    *("store", "state", "store_type", "day", "ahead", "scale", "season_scale", "sales", "mean", "model", "made_on"),
)


@dataclass(frozen=True)
class Fold:
    """The days from `start` to `end`, both included; the forecast is made on `start`."""

    start: dt.date
    end: dt.date


@dataclass(frozen=True)
class FoldResult:
    """The result of one model on one fold.

    Attributes:
        fold: the days that were forecast.
        metrics: those of `error_metrics`; with intervals also coverage_80, width_80, coverage_95 and width_95, all
            fractions (width: mean width relative to the forecast).
        slices: name of a slice (such as "promotion: yes") -> the same metrics of its rows.
        sums: kind of a sum over the fold (`sums.KINDS`) -> how often its intervals hold; empty without earlier folds.
        seconds: duration of "fit" and "predict".
        peak_mb: peak memory of the process so far, in MB.
    """

    fold: Fold
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    sums: dict[str, dict[str, float]]
    seconds: dict[str, float]
    peak_mb: float


@dataclass(frozen=True)
class Backtest:
    """The results of all models on all folds, and the forecasts themselves.

    Attributes:
        results: by model, one result per reported fold, oldest first.
        forecasts: `FORECAST_COLUMNS` of every fold, calibration folds included; made_on is the fold's first day.
        feature_seconds: duration of building the features, by the fold's first day.
        models: as fitted for the newest fold.
        newest: features and sales of the newest fold, for explaining the models.
    """

    results: dict[str, list[FoldResult]]
    forecasts: pd.DataFrame
    feature_seconds: dict[dt.date, float]
    models: dict[str, Model]
    newest: pd.DataFrame

    def as_dict(self, model: str) -> dict[str, Any]:
        """Return the result of one model in the form that `aisle backtest --json` prints."""
        folds = [
            {
                "from": result.fold.start.isoformat(),
                "to": result.fold.end.isoformat(),
                "metrics": result.metrics,
                "slices": result.slices,
                "sums": result.sums,
                "seconds": result.seconds | {"features": self.feature_seconds[result.fold.start]},
                "peak_mb": result.peak_mb,
            }
            for result in self.results[model]
        ]
        names = [name for name in self.results[model][0].metrics if name != "rows"]
        mean = {name: float(np.mean([fold.metrics[name] for fold in self.results[model]])) for name in names}
        return {"model": model, "folds": folds, "mean": mean}


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


def backtest(
    con: Backend,
    store_days: ir.Table,
    stores: ir.Table,
    candidates: Mapping[str, Fit],
    *,
    seed: int,
    count: int = FOLD_COUNT,
    calibration_folds: int = CALIBRATION_FOLDS,
    horizon: int = HORIZON,
) -> Backtest:
    """Fit every candidate on each fold's history, forecast the fold, and score.

    Args:
        con: the engine of both tables.
        store_days: the clean table.
        stores: the clean table.
        candidates: name of each model -> how it is fitted.
        seed: random seed of the models.
        count: folds to report.
        calibration_folds: earlier folds whose forecasts calibrate the intervals of the first reported one; with 0 the
            first reported fold has no intervals.
        horizon: days per fold.

    Raises:
        UsageError: if count is below 1.
        RefusedError: if there is too little history before the oldest fold.
    """
    span = store_days.agg(first=store_days.day.min(), last=store_days.day.max()).to_pyarrow().to_pylist()[0]
    all_folds = folds(span["first"], span["last"], count=count + calibration_folds, horizon=horizon)
    results: dict[str, list[FoldResult]] = {name: [] for name in candidates}
    forecasts: dict[str, list[pd.DataFrame]] = {name: [] for name in candidates}
    feature_seconds, models = {}, {}
    for number, fold in enumerate(log_each(log, "forecast the fold", all_folds, lambda fold: f"{fold.start}")):
        started = perf_counter()
        table = store_features(con, store_days, stores, fold.start, horizon=horizon)
        features = to_frame(table)
        con.drop_table(table.op().name)
        feature_seconds[fold.start] = perf_counter() - started
        train, ahead = training_rows(features), forecast_rows(features)
        actual = actual_sales(store_days, fold, ahead)
        histories = store_histories(store_days, fold.start)
        for name, fit in log_each(log, "fit", list(candidates.items()), itemgetter(0)):
            started = perf_counter()
            model = models[name] = fit(train, seed)
            fitted = perf_counter()
            mean = model.predict(ahead)
            seconds = {"fit": fitted - started, "predict": perf_counter() - fitted}
            rows = ahead.assign(sales=actual, mean=mean, model=name, made_on=fold.start)[actual > 0]
            if number >= calibration_folds:
                past = pd.concat(forecasts[name]) if forecasts[name] else None
                results[name].append(_fold_result(fold, rows, histories, past, seconds))
            forecasts[name].append(rows[list(FORECAST_COLUMNS)])
    return Backtest(
        results,
        pd.concat([rows for parts in forecasts.values() for rows in parts]),
        feature_seconds,
        models,
        ahead.assign(sales=actual)[actual > 0],
    )


def rmspe(actual: Floats, forecast: Floats) -> float:
    """Return the root mean squared percentage error, as a fraction; all actual values are above 0."""
    return float(np.sqrt(((forecast / actual - 1) ** 2).mean()))


def error_metrics(actual: Floats, forecast: Floats) -> dict[str, float]:
    """Measure forecasts of rows whose actual sales are above 0.

    Returns:
        rmspe, mape, wape, bias and bias_total as fractions; rmse and mae in the currency of the sales; r2 without unit,
        0 where the actual values never vary; rows, how many were measured.
    """
    shared = regression_metrics(actual, forecast)
    return {
        "rmspe": rmspe(actual, forecast),
        **shared,
        "r2": shared["r2"] if np.isfinite(shared["r2"]) else 0.0,
        "wape": float(np.abs(forecast - actual).sum() / actual.sum()),
        "bias": float((forecast / actual - 1).mean()),
        "bias_total": float(forecast.sum() / actual.sum() - 1),
        "rows": float(len(actual)),
    }


def actual_sales(store_days: ir.Table, fold: Fold, ahead: pd.DataFrame) -> Floats:
    """Return the actual sales of the rows of `ahead`, in their order; NaN where there are none."""
    inside = store_days.filter(store_days.day.between(ibis.date(fold.start), ibis.date(fold.end)))
    sales = inside.select("store", "day", "sales").to_pandas().set_index(["store", "day"])["sales"]
    return np.asarray(sales.reindex(pd.MultiIndex.from_frame(ahead[["store", "day"]])), dtype=float)


def _fold_result(
    fold: Fold, rows: pd.DataFrame, histories: pd.DataFrame, past: pd.DataFrame | None, seconds: dict[str, float]
) -> FoldResult:
    intervals = None if past is None else calibrate(past)
    parts = slices(rows, histories, fold.start).items()
    of_slices = {name: _metrics(rows[inside], intervals) for name, inside in parts if inside.any()}
    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kilobytes elsewhere
    return FoldResult(
        fold=fold,
        metrics=_metrics(rows, intervals),
        slices=of_slices,
        sums={} if past is None else coverage_of_sums(rows, calibrate_sums(past)),
        seconds=seconds,
        peak_mb=peak_memory / (2**20 if sys.platform == "darwin" else 2**10),
    )


def _metrics(rows: pd.DataFrame, intervals: Intervals | None) -> dict[str, float]:
    actual, mean = rows["sales"].to_numpy(float), rows["mean"].to_numpy(float)
    metrics = error_metrics(actual, mean)
    for level, (low, high) in (intervals.around(rows, mean) if intervals else {}).items():
        metrics[f"coverage_{level:.0%}".rstrip("%")] = float(((actual >= low) & (actual <= high)).mean())
        metrics[f"width_{level:.0%}".rstrip("%")] = float(((high - low) / mean).mean())
    return metrics
