"""The domains: what the command line and the DAGs may ask of each, without knowing any."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, cast

from pipeline.errors import UsageError
from pipeline.stores.candidates import CANDIDATES as STORE_SALES

if TYPE_CHECKING:
    # DAG files read this module whenever they are parsed, so nothing heavy is imported before it is needed.
    from collections.abc import Mapping
    from datetime import date

    from pipeline.endpoints import EndpointSpec
    from pipeline.lake.tables import TableRef
    from pipeline.monitoring.watch import MonitoredModel
    from pipeline.settings import Settings
    from pipeline.training.gate import Decision
    from pipeline.training.lifecycle import Trained

MODELS: Mapping[str, tuple[str, ...]] = {
    "customers": ("customer_segments",),
    "stores": ("store_sales",),
    "shoppers": ("purchase_probability", "brand_choice", "purchase_quantity", "people_segments"),
    "footfall": ("footfall_buyers",),
}
"""The models of each domain; its folder below `pipeline/` has the domain's name."""

CANDIDATES: Mapping[str, tuple[str, ...]] = {"store_sales": STORE_SALES}
"""The kinds that a model may be of, where it may be of several."""


class Steps(Protocol):
    """`pipeline.<domain>.steps`.

    Attributes:
        INPUT_TABLE: the clean table whose days are the domain's.
        SCORES_TABLE: the table that scoring writes.

    A domain may say `RAW_INPUTS`, too: the models that are trained on a clean table without features -> that table. One
    whose model may be of several kinds (`CANDIDATES`) also has `try_candidate`.
    """

    INPUT_TABLE: str
    SCORES_TABLE: str

    def build_features(self, settings: Settings, as_of: date) -> TableRef:
        """Write the features as of a day."""

    def try_candidate(self, settings: Settings, as_of: date, candidate: str) -> dict[str, float]:
        """How a candidate fares on the newest days before a day, as if they had not come."""

    def train(self, settings: Settings, model: str, as_of: date) -> Trained:
        """Register a challenger: the best of the candidates that were tried, where there are any."""

    def gate(self, settings: Settings, model: str, version: int) -> Decision:
        """Decide whether a challenger may become champion, and note it."""

    def score(self, settings: Settings, as_of: date) -> TableRef | None:
        """Write what the champion says as of a day; None while there is no champion."""

    def write_report(self, settings: Settings, as_of: date) -> str:
        """Write the page of a day, and return its path below home."""

    def backtest(self, settings: Settings, model: str, *candidates: str) -> dict[str, Any]:
        """How good a model is on days that it has not seen: `{"model": …, "folds": […], "mean": {…}}`.

        With `candidates` (or where a model has several kinds) also `"models": {kind: the same of it}`.
        """


def steps_of(domain: str) -> Steps:
    """A domain's steps.

    Raises:
        UsageError: if there is no such domain.
    """
    if domain not in MODELS:
        raise UsageError("There is no such domain", observed=domain, allowed=", ".join(MODELS))
    return cast(Steps, import_module(f"pipeline.{domain}.steps"))


def endpoints() -> tuple[EndpointSpec, ...]:
    """What the domains offer to the prediction service, in the order in which /docs and its page show them."""
    domains = ("stores", "customers", "shoppers", "footfall")
    return tuple(cast("EndpointSpec", import_module(f"pipeline.{domain}.endpoint").ENDPOINT) for domain in domains)


def watched_of(domain: str) -> tuple[MonitoredModel, ...]:
    """What is watched of a domain's models, as its `watched.py` says; nothing where it has none."""
    name = f"pipeline.{domain}.monitoring"
    return cast("tuple[MonitoredModel, ...]", import_module(name).MONITORED) if find_spec(name) else ()


def known_days(settings: Settings, model: str) -> list[date]:
    """The days of which a training of a model may know, sorted: the domain's.

    Of a model that takes a table as it is they are those of that table where the domain has no days of its own yet.
    """
    from pipeline.lake.tables import Lake

    steps, lake = steps_of(domain_of(model)), Lake(settings)
    plain = _as_it_is(steps, model)
    return lake.days(steps.INPUT_TABLE) or (lake.days(plain) if plain else [])


def prepare(settings: Settings, model: str, as_of: date) -> TableRef:
    """Make ready what a training of a model reads: the features as of a day, or the table that it takes as it is."""
    from pipeline.lake.tables import Lake, TableRef

    steps = steps_of(domain_of(model))
    if plain := _as_it_is(steps, model):
        return TableRef(plain, Lake(settings).version(plain), as_of)
    return steps.build_features(settings, as_of)


def _as_it_is(steps: Steps, model: str) -> str | None:
    tables: Mapping[str, str] = getattr(steps, "RAW_INPUTS", {})
    return tables.get(model)


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
