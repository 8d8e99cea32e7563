"""The kinds of model that may forecast store sales, by the name of their file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.stores.model import Fit

BASELINE = "seasonal_median"
CANDIDATES = ("gradient_boosting", "random_forest", "linear_store")
"""Those that can become champion; the first is tried when nothing else is asked for."""
BACKTESTED = (*CANDIDATES, BASELINE, "lstm")
"""Those that a backtest can set side by side. The LSTM forecasts only what follows its own history, so it cannot be
champion of the mornings after."""


def load_fit(candidate: str) -> Fit:
    """How a candidate is fitted.

    Raises:
        UsageError: if there is no such candidate.
    """
    if candidate not in BACKTESTED:
        raise UsageError("There is no such candidate", observed=candidate, allowed=", ".join(BACKTESTED))
    fit: Fit = import_module(f"pipeline.stores.{candidate}").fit
    return fit
