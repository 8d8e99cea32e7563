"""Measure forecasts on past days: fit each model on the days before a fold, forecast the fold, and compare with sales.

Folds are those of `folds.py`. Only days with sales > 0 are scored. The intervals of a fold are calibrated on the
forecasts of the folds before it, so `calibration_folds` earlier folds are forecast but not reported.

RMSPE   root mean squared percentage error, sqrt(mean(((y - f) / y)^2)), as a fraction: the loss of the models, because
        planning needs forecasts that are equally exact, in proportion, for small and large stores
WAPE    sum of absolute errors / sum of sales: the error of the chain's stock, which single odd days hardly affect
bias    mean of f / y - 1, as a fraction: above 0 the forecasts are too high; `bias_total`, sum of f / sum of y - 1
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.logs import log_each
from pipeline.stores.folds import FOLD_COUNT, FORECAST_COLUMNS, HORIZON, Fold, FoldForecasts, folds, forecast_fold
from pipeline.stores.intervals import Intervals, calibrate
from pipeline.stores.model import Fit, Model
from pipeline.stores.slices import slices
from pipeline.stores.sums import calibrate_sums, coverage_of_sums
from pipeline.training.metrics import regression_metrics

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

log = logging.getLogger(__name__)

CALIBRATION_FOLDS = 2


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
    made = []
    for fold in log_each(log, "forecast the fold", all_folds, lambda fold: f"{fold.start}"):
        forecasts = forecast_fold(con, store_days, stores, fold, candidates, seed=seed)
        made.append(forecasts if fold == all_folds[-1] else forecasts.lean())
    return backtest_of(made, list(candidates), calibration_folds)


def backtest_of(made: Sequence[FoldForecasts], models: Sequence[str], calibration_folds: int) -> Backtest:
    """Score the forecasts of each fold, oldest first; the first `calibration_folds` of them have no results."""
    return Backtest(
        {name: score(made, name, calibration_folds) for name in models},
        pd.concat([fold.of_model(name)[list(FORECAST_COLUMNS)] for name in models for fold in made]),
        {fold.fold.start: fold.feature_seconds for fold in made},
        made[-1].models,
        made[-1].rows,
    )


def score(made: Sequence[FoldForecasts], model: str, calibration_folds: int) -> list[FoldResult]:
    """Score the forecasts of a model; the intervals of each fold are calibrated on the folds before it.

    Args:
        made: the forecasts of each fold, oldest first.
        model: its name.
        calibration_folds: how many of the oldest folds have no result of their own.
    """
    results, forecasts = [], [fold.of_model(model) for fold in made]
    for number in range(calibration_folds, len(made)):
        past = pd.concat([rows[list(FORECAST_COLUMNS)] for rows in forecasts[:number]]) if number else None
        results.append(_fold_result(made[number], forecasts[number], past, made[number].costs[model]))
    return results


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


def _fold_result(
    made: FoldForecasts, rows: pd.DataFrame, past: pd.DataFrame | None, costs: Mapping[str, float]
) -> FoldResult:
    intervals = None if past is None else calibrate(past)
    parts = slices(rows, made.histories, made.fold.start).items()
    of_slices = {name: _metrics(rows[inside], intervals) for name, inside in parts if inside.any()}
    return FoldResult(
        fold=made.fold,
        metrics=_metrics(rows, intervals),
        slices=of_slices,
        sums={} if past is None else coverage_of_sums(rows, calibrate_sums(past)),
        seconds={step: costs[step] for step in ("fit", "predict")},
        peak_mb=costs["peak_mb"],
    )


def _metrics(rows: pd.DataFrame, intervals: Intervals | None) -> dict[str, float]:
    actual, mean = rows["sales"].to_numpy(float), rows["mean"].to_numpy(float)
    metrics = error_metrics(actual, mean)
    for level, (low, high) in (intervals.around(rows, mean) if intervals else {}).items():
        metrics[f"coverage_{level:.0%}".rstrip("%")] = float(((actual >= low) & (actual <= high)).mean())
        metrics[f"width_{level:.0%}".rstrip("%")] = float(((high - low) / mean).mean())
    return metrics
