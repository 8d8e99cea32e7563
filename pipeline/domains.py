"""The domains: what the command line and the DAGs may ask of each, without knowing any."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from importlib import import_module
from typing import Any, Protocol, cast

from pipeline.errors import UsageError
from pipeline.gate import Decision
from pipeline.lake import TableRef
from pipeline.settings import Settings
from pipeline.training import Trained

MODELS: Mapping[str, tuple[str, ...]] = {
    "customers": ("customer_segments",),
    "shoppers": ("purchase_probability", "brand_choice", "purchase_quantity", "people_segments"),
    "footfall": ("footfall_buyers",),
}
"""The models of each domain; its folder below `pipeline/` has the domain's name."""


class Steps(Protocol):
    """`pipeline.<domain>.steps`.

    Attributes:
        INPUT: the clean table whose days are the domain's.
        RESULT: the table that scoring writes.
    """

    INPUT: str
    RESULT: str

    def build_features(self, settings: Settings, as_of: date) -> TableRef:
        """Write the features as of a day."""

    def train(self, settings: Settings, model: str, as_of: date) -> Trained:
        """Register a challenger."""

    def gate(self, settings: Settings, model: str, version: int) -> Decision:
        """Decide whether a challenger may become champion, and note it."""

    def score(self, settings: Settings, as_of: date) -> TableRef | None:
        """Write what the champion says as of a day; None while there is no champion."""

    def write_report(self, settings: Settings, as_of: date) -> str:
        """Write the page of a day, and return its path below home."""

    def backtest(self, settings: Settings, model: str) -> dict[str, Any]:
        """How good a model is on days that it has not seen: `{"model": …, "folds": […], "mean": {…}}`."""


def steps_of(domain: str) -> Steps:
    """A domain's steps.

    Raises:
        UsageError: if there is no such domain.
    """
    if domain not in MODELS:
        raise UsageError("There is no such domain", observed=domain, allowed=", ".join(MODELS))
    return cast(Steps, import_module(f"pipeline.{domain}.steps"))


def domain_of(model: str) -> str:
    """The domain that a model belongs to.

    Raises:
        UsageError: if no domain has such a model.
    """
    for domain, models in MODELS.items():
        if model in models:
            return domain
    known = ", ".join(model for models in MODELS.values() for model in models)
    raise UsageError("There is no such model", observed=model, allowed=known)
