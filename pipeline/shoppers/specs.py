"""The models of the domain as specifications: what is particular to each.

The three visit models make a chain (see `what_if`). They are trained on the days before a window, the newest of the
days known, and the gate measures challenger and champion on it: neither has seen it, for the champion is the older of
the two. Segments of people are trained on the table of people as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.shoppers import backtest, brand_choice, people_segments, purchase_probability, purchase_quantity
from pipeline.shoppers.domain import CHOICE, DOMAIN, PEOPLE, PROBABILITY, QUANTITY, SEGMENTS, TRUSTED_TYPES
from pipeline.shoppers.features import DEMOGRAPHICS
from pipeline.shoppers.monitoring import (
    MONITORED_CHOICE,
    MONITORED_PROBABILITY,
    MONITORED_QUANTITY,
    MONITORED_SEGMENTS,
)
from pipeline.shoppers.people_segments import SEGMENTS_FILE
from pipeline.shoppers.visits import SplitVisits, load_people, load_split, read_visits
from pipeline.training.gate import BeatsBaseline, Better, Ceiling, Floor, Metrics, NotWorse, Rule, segmentation_rules
from pipeline.training.monitored import MonitoredModel
from pipeline.training.spec import Fitted, ModelSpec, Run

if TYPE_CHECKING:
    from pipeline.registry.records import Loaded
    from pipeline.settings import Settings

ESTIMATES_FILE = "estimates.json"


def _visit_model(
    name: str, module: ModuleType, rules: tuple[Rule, ...], monitored: MonitoredModel
) -> ModelSpec[SplitVisits]:
    """A model of visits: fitted on the days before the window, measured on the window."""

    def fit(visits: SplitVisits, run: Run, champion: Loaded | None) -> Fitted:  # noqa: ARG001 (the shape of every fit)
        earlier, window = visits.earlier, visits.window
        model = backtest.TRAIN[name](earlier, seed=run.settings.seed)
        inputs = module.inputs(earlier)
        reason = (
            f"trained on {len(earlier):,} visits before {window['day'].min():%Y-%m-%d}, "
            f"measured on the {len(window):,} since"
        )
        metrics = backtest.MEASURE[name](model, earlier, window)
        estimates = {ESTIMATES_FILE: module.estimates(model, earlier)}
        held_out = f"{window['day'].min():%Y-%m-%d} to {window['day'].max():%Y-%m-%d}"
        return Fitted(model, inputs, earlier[inputs], metrics, reason, artefacts=estimates, folds={held_out: metrics})

    def evaluate(contestant: Loaded, visits: SplitVisits, run: Run) -> Metrics:  # noqa: ARG001
        return backtest.MEASURE[name](contestant.model, visits.earlier, visits.window)

    return ModelSpec(
        name=name,
        table=DOMAIN.input_table,
        other_tables=(PEOPLE, DOMAIN.features_table),
        load=load_split,
        content=lambda visits: [visits.earlier, visits.window],
        fit=fit,
        evaluate=evaluate,
        baseline=lambda visits: module.baseline(visits.earlier, visits.window),
        rules=rules,
        monitored=monitored,
        trusted_types=TRUSTED_TYPES,
        backtest=_backtest_of(name),
    )


def _backtest_of(name: str) -> Callable[[Settings, Sequence[str]], dict[str, Any]]:
    def run_backtest(settings: Settings, candidates: Sequence[str] = ()) -> dict[str, Any]:  # noqa: ARG001
        lake, table = Lake(settings), DOMAIN.input_table
        days = lake.days(table)
        if not days:
            raise RefusedError("There are no visits to test on", where=table, todo="aisle ingest visits --all")
        tables = {known: lake.version(known) for known in (table, PEOPLE) if lake.exists(known)}
        visits = read_visits(settings, max(days) + timedelta(days=1), tables)
        return backtest.backtest(name, visits, seed=settings.seed)

    return run_backtest


def fit_segments(people: pd.DataFrame, run: Run, champion: Loaded | None) -> Fitted:  # noqa: ARG001
    """Cut the dendrogram of people and describe each segment."""
    found = people_segments.train(people, seed=run.settings.seed)
    metrics = people_segments.measure(found.model, people, run.settings.seed)
    names = "; ".join(segment.name for segment in found.segments)
    return Fitted(
        model=found.model,
        features=DEMOGRAPHICS,
        example=people[list(DEMOGRAPHICS)].astype("float64"),
        metrics=metrics,
        reason=f"the dendrogram of {len(people):,} people gives {len(found.segments)} segments: {names}",
        artefacts={SEGMENTS_FILE: found.to_record()},
    )


def evaluate_segments(contestant: Loaded, people: pd.DataFrame, run: Run) -> Metrics:
    """Silhouette, stability and smallest share on the people that the challenger was trained on."""
    return people_segments.measure(contestant.model, people, run.settings.seed)


def backtest_segments(settings: Settings, candidates: Sequence[str] = ()) -> dict[str, Any]:  # noqa: ARG001
    """How good the segments of people are; people have no days, so `from` and `to` are null."""
    people: pd.DataFrame = Lake(settings).read(PEOPLE).to_pandas()
    found = people_segments.train(people, seed=settings.seed)
    metrics = people_segments.measure(found.model, people, settings.seed) | {"segments": float(len(found.segments))}
    return {"model": SEGMENTS, "folds": [{"from": None, "to": None, "metrics": metrics}], "mean": dict(metrics)}


# A baseline knows the purchase rate, the shares or the mean of the training days only.
PURCHASE_PROBABILITY = _visit_model(
    PROBABILITY,
    purchase_probability,
    (
        Floor("auc", 0.55),
        Ceiling("calibration_error", 0.05),
        BeatsBaseline("log_loss", 0.0, higher_is_better=False),
        Better("log_loss", by=0.0005, higher_is_better=False),
    ),
    MONITORED_PROBABILITY,
)
BRAND_CHOICE = _visit_model(
    CHOICE,
    brand_choice,
    (
        BeatsBaseline("log_loss", 0.0, higher_is_better=False),
        NotWorse("accuracy", 0.02),
        Better("log_loss", by=0.0005, higher_is_better=False),
    ),
    MONITORED_CHOICE,
)
PURCHASE_QUANTITY = _visit_model(
    QUANTITY,
    purchase_quantity,
    (
        BeatsBaseline("rmse", 0.0, higher_is_better=False),
        Better("rmse", by=0.0005, higher_is_better=False),
    ),
    MONITORED_QUANTITY,
)
PEOPLE_SEGMENTS: ModelSpec[pd.DataFrame] = ModelSpec(
    name=SEGMENTS,
    table=PEOPLE,
    load=load_people,
    content=lambda people: [people],
    fit=fit_segments,
    evaluate=evaluate_segments,
    rules=segmentation_rules(silhouette=0.2, stability=0.5),
    monitored=MONITORED_SEGMENTS,
    backtest=backtest_segments,
)
