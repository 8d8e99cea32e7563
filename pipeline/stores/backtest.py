"""Forecast what has already come, as if it had not, and say how far off that was.

Folds are `horizon` days long and end one another, the last at the last day of data. For each, features are built as of
its first day, every candidate is fitted on history and forecasts the fold; scored are days with sales > 0. Intervals of
a fold come from forecasts of the folds before it, so `calibrating` folds more are forecast and not reported.

RMSPE   root of the mean of ((y - f) / y)^2: what the models are made for, as a shop's planner thinks in shares
bias    mean of f / y, less 1: above 0, too much is forecast
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from pipeline.errors import RefusedError, UsageError
from pipeline.stores.features import MIN_HISTORY_DAYS, store_features
from pipeline.stores.intervals import Intervals, calibrate
from pipeline.stores.model import Fit, Model, forecast_rows, to_frame, training_rows

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HORIZON = 42
FOLD_COUNT = 3
CALIBRATION_FOLDS = 2
FORECAST_COLUMNS = ("store", "day", "ahead", "scale", "sales", "mean", "model", "made_on")
THIRDS = ("first two weeks", "middle two weeks", "last two weeks")


@dataclass(frozen=True)
class Fold:
    """The days from `start` to `end`, both included; `start` is the day the forecast is made."""

    start: dt.date
    end: dt.date


@dataclass(frozen=True)
class FoldResult:
    """One model on one fold.

    Attributes:
        metrics: rmspe, rmse, mae, mape, r2, bias, rows, and coverage_80, width_80, coverage_95, width_95 where
            intervals could be made (width as a share of the forecast).
        slices: name (such as "promo: yes") -> the same metrics of its rows.
        seconds: of fitting and of predicting.
        peak_mb: the most memory the process has had until then, everything before included.
    """

    fold: Fold
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    seconds: dict[str, float]
    peak_mb: float


@dataclass(frozen=True)
class Backtest:
    """All folds of all models, oldest first, and the forecasts themselves.

    forecasts: store, day, ahead, scale, sales, mean, model, fold start (made_on) of every fold, calibrating ones
    included.
    feature_seconds: by fold start.
    models: as fitted for the newest fold; newest: that fold's features with what was sold, to explain them on.
    """

    results: dict[str, list[FoldResult]]
    forecasts: pd.DataFrame
    feature_seconds: dict[dt.date, float]
    models: dict[str, Model]
    newest: pd.DataFrame

    def as_dict(self, model: str) -> dict[str, Any]:
        """The result of one model as `aisle backtest --json` prints it."""
        folds = [
            {
                "from": result.fold.start.isoformat(),
                "to": result.fold.end.isoformat(),
                "metrics": result.metrics,
                "slices": result.slices,
                "seconds": result.seconds | {"features": self.feature_seconds[result.fold.start]},
                "peak_mb": result.peak_mb,
            }
            for result in self.results[model]
        ]
        names = [name for name in self.results[model][0].metrics if name != "rows"]
        mean = {name: float(np.mean([fold.metrics[name] for fold in self.results[model]])) for name in names}
        return {"model": model, "folds": folds, "mean": mean}


def folds(first: dt.date, last: dt.date, *, count: int = FOLD_COUNT, horizon: int = HORIZON) -> list[Fold]:
    """`count` folds that end at `last`, oldest first.

    Raises:
        UsageError: count is below 1.
        RefusedError: the oldest would have too little history before it.
    """
    if count < 1:
        raise UsageError("a backtest needs a fold", observed=count, allowed="1 or more")
    found = []
    for k in range(count, 0, -1):
        start = last - dt.timedelta(days=k * horizon - 1)
        found.append(Fold(start, start + dt.timedelta(days=horizon - 1)))
    need = dt.timedelta(days=MIN_HISTORY_DAYS + horizon)
    if found[0].start - first < need:
        raise RefusedError(
            "there is too little history for that many folds",
            where="table store_days",
            observed=f"{(found[0].start - first).days} days before {found[0].start}",
            allowed=f"{need.days} days or more",
            todo="ask for fewer folds, or ingest earlier days",
        )
    return found


def backtest(
    con: Backend,
    store_days: ir.Table,
    stores: ir.Table,
    candidates: Mapping[str, Fit],
    *,
    seed: int,
    count: int = FOLD_COUNT,
    calibrating: int = CALIBRATION_FOLDS,
    horizon: int = HORIZON,
) -> Backtest:
    """Fit every candidate on each fold's history, forecast the fold, and score.

    Args:
        con: the engine of both tables. store_days, stores: clean tables. candidates: name -> how the model is fitted.
        calibrating: folds before the first one reported, whose forecasts make its intervals; 0: it has none.
    """
    ends = store_days.agg(first=store_days.day.min(), last=store_days.day.max()).to_pyarrow().to_pylist()[0]
    all_folds = folds(ends["first"], ends["last"], count=count + calibrating, horizon=horizon)
    results: dict[str, list[FoldResult]] = {name: [] for name in candidates}
    past: dict[str, list[pd.DataFrame]] = {name: [] for name in candidates}
    feature_seconds, models = {}, {}
    for number, fold in enumerate(all_folds):
        begun = perf_counter()
        made = store_features(con, store_days, stores, fold.start, horizon=horizon)
        features = to_frame(made)
        con.drop_table(made.op().name)
        feature_seconds[fold.start] = perf_counter() - begun
        train, ahead = training_rows(features), forecast_rows(features)
        came = _actual_sales(store_days, fold, ahead)
        for name, fit in candidates.items():
            begun = perf_counter()
            model = models[name] = fit(train, seed)
            fitted = perf_counter()
            mean = model.predict(ahead)
            seconds = {"fit": fitted - begun, "predict": perf_counter() - fitted}
            rows = ahead.assign(sales=came, mean=mean, model=name, made_on=fold.start)[came > 0]
            if number >= calibrating:
                intervals = calibrate(pd.concat(past[name])) if past[name] else None
                results[name].append(_fold_result(fold, rows, intervals, seconds))
            past[name].append(rows[list(FORECAST_COLUMNS)])
    forecasts = pd.concat([rows for parts in past.values() for rows in parts])
    return Backtest(results, forecasts, feature_seconds, models, ahead.assign(sales=came)[came > 0])


def error_metrics(actual: Floats, forecast: Floats) -> dict[str, float]:
    """How far off; all rows have actual > 0. R² is 0 where all actual values are alike, as scikit-learn has it."""
    error, share = forecast - actual, forecast / actual - 1
    spread = float(((actual - actual.mean()) ** 2).sum())
    return {
        "rmspe": float(np.sqrt((share**2).mean())),
        "rmse": float(np.sqrt((error**2).mean())),
        "mae": float(np.abs(error).mean()),
        "mape": float(np.abs(share).mean()),
        "r2": 1 - float((error**2).sum()) / spread if spread else 0.0,
        "bias": float(share.mean()),
        "rows": float(len(actual)),
    }


def _actual_sales(store_days: ir.Table, fold: Fold, ahead: pd.DataFrame) -> Floats:
    """What the rows of `ahead` sold, in their order."""
    inside = store_days.filter(store_days.day.between(ibis.date(fold.start), ibis.date(fold.end)))
    sales = inside.select("store", "day", "sales").to_pandas().set_index(["store", "day"])["sales"]
    return np.asarray(sales.reindex(pd.MultiIndex.from_frame(ahead[["store", "day"]])), dtype=float)


def _fold_result(fold: Fold, rows: pd.DataFrame, intervals: Intervals | None, seconds: dict[str, float]) -> FoldResult:
    return FoldResult(
        fold=fold,
        metrics=_interval_metrics(rows, intervals),
        slices={
            name: _interval_metrics(rows[inside], intervals) for name, inside in _slices(rows).items() if inside.any()
        },
        seconds=seconds,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
    )


def _interval_metrics(rows: pd.DataFrame, intervals: Intervals | None) -> dict[str, float]:
    actual, mean = rows["sales"].to_numpy(float), rows["mean"].to_numpy(float)
    found = error_metrics(actual, mean)
    for level, (low, high) in (intervals.around(rows, mean) if intervals else {}).items():
        found[f"coverage_{level:.0%}".rstrip("%")] = float(((actual >= low) & (actual <= high)).mean())
        found[f"width_{level:.0%}".rstrip("%")] = float(((high - low) / mean).mean())
    return found


def _slices(rows: pd.DataFrame) -> dict[str, pd.Series]:
    slices: dict[str, pd.Series] = {}
    for column, label in (("store_type", "store type"), ("assortment", "assortment")):
        slices |= {f"{label}: {word}": rows[column] == word for word in sorted(rows[column].unique())}
    slices |= {"promotion: yes": rows["promo"] > 0, "promotion: no": rows["promo"] == 0}
    third = (rows["ahead"] * 3 // (rows["ahead"].max() + 1)).astype(int)
    return slices | {name: third == k for k, name in enumerate(THIRDS)}
