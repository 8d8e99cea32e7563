"""A candidate tried on the newest days as if they had not come yet: what the gate decides by and the page shows.

The newest fold says how good the candidate is; the folds before it make its intervals. The forecasts themselves are
kept, because a comparison of two models needs them row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.stores.backtest import backtest
from pipeline.stores.candidates import BASELINE, load_fit
from pipeline.stores.explain import (
    mean_contributions,
    partial_effect,
    permutation_importance,
    promotion_effect,
    weekday_effect,
)
from pipeline.stores.features import FEATURE_COLUMNS
from pipeline.stores.gradient_boosting import GradientBoosting
from pipeline.stores.state import store_state

if TYPE_CHECKING:
    import pandas as pd
    from ibis.backends.duckdb import Backend

    from pipeline.stores.model import Model
    from pipeline.stores.snapshot import Snapshot
    from pipeline.stores.state import StoreState

DISTANCES = (100, 300, 1_000, 3_000, 10_000, 30_000)  # metres to a competitor whose effect is shown


@dataclass(frozen=True)
class CandidateEvaluation:
    """How a candidate fared.

    Attributes:
        evidence: what a page or a person asks, as JSON can hold it: candidate, backtest (of it and of the baseline),
            importance, contributions, partial.
        forecasts: store, day, ahead, scale, sales, mean, baseline and made_on, the rows with sales of every fold.
    """

    evidence: dict[str, Any]
    forecasts: pd.DataFrame

    @property
    def metrics(self) -> dict[str, float]:
        """On the newest fold."""
        return dict(self.evidence["backtest"][self.evidence["candidate"]]["folds"][-1]["metrics"])


def evaluate_candidate(con: Backend, known: Snapshot, candidate: str, seed: int) -> CandidateEvaluation:
    """Forecast the newest fold, and two before it, beside the baseline.

    Args:
        con: the engine of `known`.
        known: what is known on the morning after the newest fold.

    Raises:
        UsageError: if there is no such candidate.
        RefusedError: if history is too short for the folds.
    """
    fits = {BASELINE: load_fit(BASELINE), candidate: load_fit(candidate)}
    found = backtest(con, known.past, known.stores, fits, seed=seed, count=1)
    model, rows = found.models[candidate], found.newest
    state = store_state(con, known.past, known.stores, found.forecasts["made_on"].max())
    importance = permutation_importance(model, rows, FEATURE_COLUMNS, seed=seed)
    evidence = {
        "candidate": candidate,
        "backtest": {name: found.as_dict(name) for name in fits},
        "importance": [{"feature": name, "rmspe_rise": value} for name, value in importance.items()],
        "contributions": _contributions(model, rows, seed),
        "partial": _partial_effects(model, rows, state, seed),
    }
    own, naive = (found.forecasts[found.forecasts["model"] == name] for name in (candidate, BASELINE))
    return CandidateEvaluation(evidence, own.drop(columns="model").assign(baseline=naive["mean"].to_numpy()))


def newest_fold(forecasts: pd.DataFrame) -> pd.DataFrame:
    """The rows of the newest fold of a trial."""
    rows: pd.DataFrame = forecasts[forecasts["made_on"] == forecasts["made_on"].max()]
    return rows


def _contributions(model: Model, rows: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    if not isinstance(model, GradientBoosting):
        return []
    means = mean_contributions(model, rows, seed=seed)
    return [{"feature": name, "mean": float(value)} for name, value in means.items()]


def _partial_effects(
    model: Model, rows: pd.DataFrame, state: StoreState, seed: int
) -> dict[str, list[dict[str, float]]]:
    """What promotion, weekday and a competitor's distance do to the forecast."""
    distances = {float(metres): float(np.log(metres + 1)) for metres in DISTANCES}
    beyond = partial_effect(model, rows, "competition_distance", list(distances.values()), seed=seed)
    effects = {
        "promo": promotion_effect(model, state),
        "weekday": weekday_effect(model, state),
        "competition_distance": beyond.set_axis(list(distances)),
    }
    return {
        name: [
            {"value": float(value), "ratio": float(ratio)} for value, ratio in zip(effect.index, effect, strict=True)
        ]
        for name, effect in effects.items()
    }
