"""A candidate tried on the newest days as if they had not come yet: what the gate decides by and the page shows.

The newest fold says how good the candidate is; the folds before it make its intervals. The forecasts themselves are
kept, because a comparison of two models needs them row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.stores.backtest import backtest
from pipeline.stores.candidates import BASELINE, fit_of
from pipeline.stores.explain import mean_contributions, partial_effect, permutation_importance
from pipeline.stores.features import FEATURES
from pipeline.stores.gradient_boosting import GradientBoosting

if TYPE_CHECKING:
    import pandas as pd
    from ibis.backends.duckdb import Backend

    from pipeline.stores.model import Model
    from pipeline.stores.tables import Known

DISTANCES = (100, 300, 1_000, 3_000, 10_000, 30_000)  # metres to a competitor whose effect is shown


@dataclass(frozen=True)
class Trial:
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


def try_candidate(con: Backend, known: Known, candidate: str, seed: int) -> Trial:
    """Forecast the newest fold, and two before it, beside the baseline.

    Args:
        con: the engine of `known`.
        known: what is known on the morning after the newest fold.

    Raises:
        UsageError: if there is no such candidate.
        RefusedError: if history is too short for the folds.
    """
    fits = {BASELINE: fit_of(BASELINE), candidate: fit_of(candidate)}
    found = backtest(con, known.past, known.stores, fits, seed=seed, count=1)
    model, rows = found.models[candidate], found.newest
    importance = permutation_importance(model, rows, FEATURES, seed=seed)
    evidence = {
        "candidate": candidate,
        "backtest": {name: found.as_dict(name) for name in fits},
        "importance": [{"feature": name, "rmspe_rise": value} for name, value in importance.items()],
        "contributions": _contributions(model, rows, seed),
        "partial": _partial(model, rows, seed),
    }
    own, naive = (found.forecasts[found.forecasts["model"] == name] for name in (candidate, BASELINE))
    return Trial(evidence, own.drop(columns="model").assign(baseline=naive["mean"].to_numpy()))


def newest_fold(forecasts: pd.DataFrame) -> pd.DataFrame:
    """The rows of the newest fold of a trial."""
    rows: pd.DataFrame = forecasts[forecasts["made_on"] == forecasts["made_on"].max()]
    return rows


def _contributions(model: Model, rows: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    if not isinstance(model, GradientBoosting):
        return []
    means = mean_contributions(model, rows, seed=seed)
    return [{"feature": name, "mean": float(value)} for name, value in means.items()]


def _partial(model: Model, rows: pd.DataFrame, seed: int) -> dict[str, list[dict[str, float]]]:
    """Mean forecast with one column at each value against as it is: what the column does beyond the linear forecast."""
    asked = {
        "promo": {0.0: 0.0, 1.0: 1.0},
        "weekday": {float(day): float(day) for day in range(7)},
        "competition_distance": {float(metres): float(np.log(metres + 1)) for metres in DISTANCES},
    }
    shown = {}
    for column, values in asked.items():
        effect = partial_effect(model, rows, column, list(values.values()), seed=seed)
        shown[column] = [{"value": value, "ratio": float(effect[at])} for value, at in values.items()]
    return shown
