"""Evaluate a candidate on the newest six weeks, which it has not seen: the basis of the gate and of the page.

The newest fold gives the candidate's metrics; the two folds before it calibrate its intervals. The forecasts themselves
are kept, because comparing two models needs them row by row.

The newest six weeks say little about the next six. The season that comes was last seen a year ago, so the candidate is
also evaluated on the six weeks after the same date of last year, from what was known then: the *season fold*. Its
errors calibrate the intervals as well.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from pipeline.errors import RefusedError
from pipeline.stores.backtest import backtest
from pipeline.stores.candidates import BASELINE, BASELINES, load_fit
from pipeline.stores.explain import (
    mean_contributions,
    partial_effect,
    permutation_importance,
    promotion_effect,
    weekday_effect,
)
from pipeline.stores.features import COLUMNS
from pipeline.stores.folds import HORIZON, folds
from pipeline.stores.gradient_boosting import BOOSTED
from pipeline.stores.levels import YEAR_DAYS
from pipeline.stores.state import store_state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibis.backends.duckdb import Backend

    from pipeline.stores.backtest import Backtest
    from pipeline.stores.model import Fit, Model
    from pipeline.stores.snapshot import Snapshot
    from pipeline.stores.state import StoreState

COMPETITOR_DISTANCES = (100, 300, 1_000, 3_000, 10_000, 30_000)
"""Metres to the nearest competitor for which the partial effect is shown."""


@dataclass(frozen=True)
class CandidateEvaluation:
    """The result of evaluating a candidate.

    Attributes:
        evidence: what the page shows, in types that JSON can hold: candidate, backtest (of the candidate and of the
            baselines), season (the season fold: from, to and the metrics of each of them; None where history is too
            short), importance, contributions and partial (effects).
        forecasts: store, day, ahead, scale, season_scale, sales, mean, baseline and made_on of the rows with sales of
            every fold; mean and baseline are the forecasts of the candidate and of the seasonal median.
    """

    evidence: dict[str, Any]
    forecasts: pd.DataFrame

    @property
    def metrics(self) -> dict[str, float]:
        """The candidate's metrics on the newest fold."""
        return dict(self.evidence["backtest"][self.evidence["candidate"]]["folds"][-1]["metrics"])


def evaluate_candidate(con: Backend, snapshot: Snapshot, candidate: str, seed: int) -> CandidateEvaluation:
    """Backtest a candidate and the baseline on the newest fold and the two before it, and explain the candidate.

    Args:
        con: the engine of the snapshot.
        snapshot: what is known on the morning after the newest fold.
        candidate: one of `candidates.BACKTESTED`.
        seed: random seed of the models and of samples.

    Raises:
        UsageError: if there is no such candidate.
        RefusedError: if history is too short for the folds.
    """
    fits = {name: load_fit(name) for name in (*BASELINES, candidate)}
    result = backtest(con, snapshot.past, snapshot.stores, fits, seed=seed, count=1)
    season = _season_fold(con, snapshot, fits, seed)
    model, rows = result.models[candidate], result.newest
    state = store_state(con, snapshot.past, snapshot.stores, result.forecasts["made_on"].max())
    importance = permutation_importance(model, rows, COLUMNS, seed=seed)
    evidence = {
        "candidate": candidate,
        "backtest": {name: result.as_dict(name) for name in fits},
        "season": season and _season_record(season),
        "importance": [{"feature": name, "rmspe_rise": value} for name, value in importance.items()],
        "contributions": _contributions(model, rows, seed),
        "partial": _partial_effects(model, rows, state, seed),
    }
    found = pd.concat([part.forecasts for part in (season, result) if part])
    own, baseline = (found[found["model"] == name] for name in (candidate, BASELINE))
    forecasts = own.drop(columns="model").assign(baseline=baseline["mean"].to_numpy())
    return CandidateEvaluation(evidence, forecasts)


def _season_fold(con: Backend, snapshot: Snapshot, fits: Mapping[str, Fit], seed: int) -> Backtest | None:
    """Backtest on the six weeks a year after which the coming ones begin, as of then; None if too little was known."""
    past = snapshot.past
    span = past.agg(first=past.day.min(), last=past.day.max()).to_pyarrow().to_pylist()[0]
    last = span["last"] - dt.timedelta(days=YEAR_DAYS - HORIZON)
    try:
        folds(span["first"], last, count=1)
    except RefusedError:
        return None
    then = past.filter(past.day <= ibis.date(last))
    return backtest(con, then, snapshot.stores, fits, seed=seed, count=1, calibration_folds=0)


def _season_record(season: Backtest) -> dict[str, Any]:
    fold = next(iter(season.results.values()))[0].fold
    metrics = {name: results[0].metrics for name, results in season.results.items()}
    return {"from": fold.start.isoformat(), "to": fold.end.isoformat(), "metrics": metrics}


def newest_fold(forecasts: pd.DataFrame) -> pd.DataFrame:
    """Return the forecasts of the newest fold of an evaluation."""
    rows: pd.DataFrame = forecasts[forecasts["made_on"] == forecasts["made_on"].max()]
    return rows


def _contributions(model: Model, rows: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    if not isinstance(model, BOOSTED):
        return []
    means = mean_contributions(model, rows, seed=seed)
    return [{"feature": name, "mean": float(value)} for name, value in means.items()]


def _partial_effects(
    model: Model, rows: pd.DataFrame, state: StoreState, seed: int
) -> dict[str, list[dict[str, float]]]:
    """Return the effects of promotion, weekday and the competitor's distance on the forecast, as ratios."""
    distances = {float(metres): float(np.log(metres + 1)) for metres in COMPETITOR_DISTANCES}
    competition = partial_effect(model, rows, "competition_distance", list(distances.values()), seed=seed)
    effects = {
        "promo": promotion_effect(model, state),
        "weekday": weekday_effect(model, state),
        "competition_distance": competition.set_axis(list(distances)),
    }
    return {
        name: [
            {"value": float(value), "ratio": float(ratio)} for value, ratio in zip(effect.index, effect, strict=True)
        ]
        for name, effect in effects.items()
    }
