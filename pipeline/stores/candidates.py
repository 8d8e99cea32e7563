"""List the models of store sales; the name of each is that of its module."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.stores.model import Fit

BASELINE = "seasonal_median"
BASELINES = (BASELINE, "last_season")
"""What every model has to beat: the store's usual sales, and the same with last year's season."""
CANDIDATES = ("gradient_boosting", "random_forest", "linear_store")
"""The models that can become champion; the first is the default."""
BACKTESTED = (*CANDIDATES, *BASELINES, "lstm")
"""The models that a backtest can compare. The LSTM forecasts only the six weeks after its training data, so it cannot
become champion: it would have to be trained every morning."""
TRUSTED_TYPES = (
    "pipeline.stores.gradient_boosting.GradientBoosting",
    "pipeline.stores.gradient_boosting.SeasonalBoosting",
    "pipeline.stores.linear_store.LinearStore",
    "pipeline.stores.random_forest.RandomForest",
)
"""Types that the files of `CANDIDATES` may hold."""


def load_fit(candidate: str) -> Fit:
    """Return the function that fits a candidate.

    Raises:
        UsageError: if there is no such candidate.
    """
    if candidate not in BACKTESTED:
        raise UsageError("There is no such candidate", observed=candidate, allowed=", ".join(BACKTESTED))
    fit: Fit = import_module(f"pipeline.stores.{candidate}").fit
    return fit
