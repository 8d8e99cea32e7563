"""What the nightly run does with shoppers, a step a function: read from the lake, call the pure parts, write back.

Four models, of which three make a chain (see `what_if`). The visit models are trained on the days before their window,
the last of the days known, and the gate measures challenger and champion on it: neither has seen it, for the champion
is the older of the two. What is scored and watched is a row a person, `shopper_features`: their next visit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake, TableRef
from pipeline.settings import Settings
from pipeline.training.gate import BeatsBaseline, Better, Ceiling, Decision, Floor, NotWorse, Rule, Window, decide
from pipeline.training.lifecycle import Trained, note_decision

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import Loaded

INPUT_TABLE, PEOPLE, FEATURES_TABLE, SCORES_TABLE = "visits", "people", "shopper_features", "shopper_scores"
PROBABILITY, CHOICE, QUANTITY = "purchase_probability", "brand_choice", "purchase_quantity"
SEGMENTS = "people_segments"
CHAIN = (PROBABILITY, CHOICE, QUANTITY)
RAW_INPUTS = {SEGMENTS: PEOPLE}
SEGMENTS_FILE = "segments.json"
ESTIMATES_FILE = "estimates.json"
WINDOW_DAYS = 56
"""The newest days, which the gate measures on; a fifth of all days where that is less."""
MIN_SHARE = 0.2

RULES: Mapping[str, tuple[Rule, ...]] = {
    PROBABILITY: (
        Floor("auc", 0.55),
        Ceiling("calibration_error", 0.05),
        BeatsBaseline("log_loss", 0.0, higher_is_better=False),
        Better("log_loss", by=0.0005, higher_is_better=False),
    ),
    CHOICE: (
        BeatsBaseline("log_loss", 0.0, higher_is_better=False),
        NotWorse("accuracy", 0.02),
        Better("log_loss", by=0.0005, higher_is_better=False),
    ),
    QUANTITY: (
        BeatsBaseline("rmse", 0.0, higher_is_better=False),
        Better("rmse", by=0.0005, higher_is_better=False),
    ),
    SEGMENTS: (
        Floor("silhouette", 0.2),
        Floor("stability", 0.5),
        Floor("smallest_share", 0.02),
        NotWorse("stability", 0.05),
        # Less than this is the error of the silhouette itself, and people would relearn their segments for nothing.
        Better("silhouette", by=0.005),
    ),
}
"""What a challenger must show on its window. A baseline knows the training's purchase rate, shares or mean only."""


def build_features(settings: Settings, as_of: date) -> TableRef:
    """Write the next visit of everybody as of a day; that day of the table is replaced.

    Raises:
        RefusedError: if nobody came before that day.
    """
    from pipeline.shoppers.features import shopper_features

    lake, con = Lake(settings), engine.connect(settings)
    visits = engine.table(con, lake, INPUT_TABLE, until=as_of)
    brands = _brands(con, visits, as_of)
    people = engine.table(con, lake, PEOPLE) if lake.exists(PEOPLE) else None
    rows = con.to_pyarrow(shopper_features(visits, as_of, brands, people))
    return lake.replace(FEATURES_TABLE, {"as_of": [as_of]}, rows.sort_by("person"))


def train(settings: Settings, model: str, as_of: date) -> Trained:
    """Train on what was known as of a day and register the model as challenger.

    Raises:
        RefusedError: if there is nothing to train on, or nothing to learn from it.
    """
    if model == SEGMENTS:
        return _train_segments(settings, as_of)
    lake = Lake(settings)
    tables = {name: lake.version(name) for name in (INPUT_TABLE, PEOPLE, FEATURES_TABLE) if lake.exists(name)}
    visits = _visits(settings, as_of, tables)
    earlier, window = _windowed(visits)
    how = _how()[model]
    fitted = how.train(earlier, seed=settings.seed)
    metrics = how.measure(fitted, earlier, window)
    inputs = how.inputs(earlier)
    reason = (
        f"trained on {len(earlier):,} visits before {window['day'].min():%Y-%m-%d}, "
        f"measured on the {len(window):,} since"
    )
    return _register(
        settings,
        model,
        fitted,
        as_of,
        tables,
        inputs,
        earlier[inputs],
        metrics,
        reason,
        {ESTIMATES_FILE: how.estimates(fitted, earlier)},
    )


def gate(settings: Settings, model: str, version: int) -> Decision:
    """Decide whether a challenger may become champion, and note it on the version; a refusal goes on record as well."""
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    challenger, champion = registry.load(model, version), registry.champion(model)
    other = registry.load(model) if champion is not None and champion.version != version else None
    made_from = challenger.version.provenance
    if model == SEGMENTS:
        from pipeline.shoppers.people_segments import measure

        people = _people(settings, made_from.tables[PEOPLE])

        def measured(contestant: Loaded) -> dict[str, float]:
            return measure(contestant.model, people, made_from.seed)

        table, baseline = PEOPLE, None
    else:
        earlier, rows = _windowed(_visits(settings, made_from.as_of, made_from.tables))
        how = _how()[model]

        def measured(contestant: Loaded) -> dict[str, float]:
            return how.measure(contestant.model, earlier, rows)

        table, baseline = INPUT_TABLE, how.baseline(earlier, rows)
    window = Window(table, made_from.tables[table], made_from.as_of)
    decision = decide(measured(challenger), measured(other) if other else None, baseline, RULES[model], window=window)
    note_decision(settings, model, version, decision)
    return decision


def score(settings: Settings, as_of: date) -> TableRef | None:
    """Write what the champions expect of everybody's next visit; None until all three of the chain have one.

    Raises:
        RefusedError: if the day's features are missing.
    """
    import numpy as np
    import pyarrow as pa

    from pipeline.shoppers.purchase_probability import predict

    lake = Lake(settings)
    champions = _champions(settings)
    if champions is None:
        return None
    shoppers = _shoppers(settings, as_of)
    probability, choice, quantity = (champions[name].model for name in CHAIN)
    chance, shares = predict(probability, shoppers), choice.shares(shoppers)
    likeliest = shares.argmax(axis=1)
    units = quantity.predict(shoppers.assign(brand=choice.brands_[likeliest].astype(str)))
    segments = _segments_of(settings, shoppers)
    table = pa.table(
        {
            "person": pa.array(shoppers["person"], pa.string()),
            "as_of": pa.array([as_of] * len(shoppers), pa.date32()),
            "segment": pa.array(segments, pa.string()),
            "weekly_visits": pa.array(shoppers["weekly_visits"], pa.float64()),
            "purchase_probability": pa.array(chance, pa.float64()),
            "likely_brand": pa.array(choice.brands_[likeliest].astype(str), pa.string()),
            "likely_brand_share": pa.array(shares[np.arange(len(shares)), likeliest], pa.float64()),
            "units": pa.array(units, pa.float64()),
            "weekly_units": pa.array(shoppers["weekly_visits"].to_numpy() * chance * units, pa.float64()),
            **{
                f"{name}_version": pa.array([champions[name].version.version] * len(shoppers), pa.int64())
                for name in CHAIN
            },
        }
    )
    return lake.replace(SCORES_TABLE, {"as_of": [as_of]}, table)


def write_report(settings: Settings, as_of: date) -> str:
    """Write the shoppers' page of a day and return its path below home.

    Raises:
        RefusedError: if the day is not scored.
    """
    from pipeline.registry.client import Registry
    from pipeline.shoppers.report import ShoppersReport, write_shoppers_report
    from pipeline.shoppers.what_if import Models

    lake, registry = Lake(settings), Registry(settings)
    scores = lake.read(SCORES_TABLE, where={"as_of": [as_of]}).to_pandas() if lake.exists(SCORES_TABLE) else None
    champions = _champions(settings)
    if scores is None or scores.empty or champions is None:
        raise RefusedError("Nobody is scored as of that day", where=SCORES_TABLE, todo="run aisle score shoppers")
    tables = {name: lake.version(name) for name in (INPUT_TABLE, PEOPLE) if lake.exists(name)}
    known = registry.champion(SEGMENTS)
    return write_shoppers_report(
        lake,
        ShoppersReport(
            as_of=as_of,
            versions={name: champions[name].version for name in CHAIN},
            models=Models(*(champions[name].model for name in CHAIN)),
            visits=_visits(settings, as_of, tables),
            shoppers=_shoppers(settings, as_of),
            scores=scores,
            segments=registry.artefacts(SEGMENTS)[SEGMENTS_FILE] if known else None,
            seed=settings.seed,
        ),
    )


def backtest(settings: Settings, model: str) -> dict[str, Any]:
    """How good a model is on days that it has not seen; of the segments of people, how good the segments are.

    Returns:
        `{"model": …, "folds": [{"from": …, "to": …, "metrics": {…}}], "mean": {…}}`; people have no days: null.
    """
    lake = Lake(settings)
    if model == SEGMENTS:
        from pipeline.shoppers import people_segments

        people = _people(settings, lake.version(PEOPLE))
        found = people_segments.train(people, seed=settings.seed)
        metrics = people_segments.measure(found.model, people, settings.seed) | {"segments": float(len(found.segments))}
        return {"model": model, "folds": [{"from": None, "to": None, "metrics": metrics}], "mean": dict(metrics)}
    from pipeline.shoppers.backtest import backtest as run

    tables = {name: lake.version(name) for name in (INPUT_TABLE, PEOPLE) if lake.exists(name)}
    days = lake.days(INPUT_TABLE)
    if not days:
        raise RefusedError("There are no visits to test on", where=INPUT_TABLE, todo="aisle ingest visits --all")
    return run(model, _visits(settings, max(days) + timedelta(days=1), tables), seed=settings.seed)


@dataclass(frozen=True)
class _How:
    """What the steps need of a visit model."""

    train: Callable[..., Any]
    measure: Callable[[Any, pd.DataFrame, pd.DataFrame], dict[str, float]]
    baseline: Callable[[pd.DataFrame, pd.DataFrame], dict[str, float]]
    inputs: Callable[[pd.DataFrame], list[str]]
    estimates: Callable[[Any, pd.DataFrame], dict[str, Any]]


def _how() -> Mapping[str, _How]:
    from pipeline.shoppers import backtest, brand_choice, purchase_probability, purchase_quantity

    modules = {PROBABILITY: purchase_probability, CHOICE: brand_choice, QUANTITY: purchase_quantity}
    return {
        name: _How(
            backtest.TRAIN[name],
            backtest.MEASURE[name],
            module.baseline,
            module.inputs,
            module.estimates,
        )
        for name, module in modules.items()
    }


def _train_segments(settings: Settings, as_of: date) -> Trained:
    from pipeline.shoppers import people_segments
    from pipeline.shoppers.features import DEMOGRAPHICS

    tables = {PEOPLE: Lake(settings).version(PEOPLE)}
    people = _people(settings, tables[PEOPLE])
    found = people_segments.train(people, seed=settings.seed)
    metrics = people_segments.measure(found.model, people, settings.seed)
    names = "; ".join(segment.name for segment in found.segments)
    reason = f"the dendrogram of {len(people):,} people says {len(found.segments)} segments: {names}"
    example = people[list(DEMOGRAPHICS)].astype("float64")
    artefacts = {SEGMENTS_FILE: found.to_record()}
    return _register(
        settings, SEGMENTS, found.model, as_of, tables, list(DEMOGRAPHICS), example, metrics, reason, artefacts
    )


def _register(
    settings: Settings,
    model: str,
    fitted: Any,
    as_of: date,
    tables: Mapping[str, int],
    inputs: list[str],
    example: pd.DataFrame,
    metrics: dict[str, float],
    reason: str,
    artefacts: dict[str, Any],
) -> Trained:
    from pipeline.code_version import code_version
    from pipeline.registry.client import Registry
    from pipeline.registry.records import Provenance

    registered = Registry(settings).log_challenger(
        model,
        fitted,
        provenance=Provenance(as_of, tables, tuple(inputs), settings.seed, code_version(settings)),
        example=example,
        metrics=metrics,
        artefacts=artefacts,
    )
    return Trained(model, registered.version, reason, dict(registered.metrics))


def _windowed(visits: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    from pipeline.shoppers.wide_frame import earlier_later, split_at

    days = (visits["day"].max() - visits["day"].min()).days + 1
    return earlier_later(visits, split_at(visits, min(MIN_SHARE, WINDOW_DAYS / days)))


def _brands(con: Any, visits: Any, as_of: date) -> list[str]:
    from pipeline.shoppers.features import brands_of

    found: list[str] = con.to_pyarrow(brands_of(visits, as_of))["brand"].to_pylist()
    if not found:
        raise RefusedError(
            "Nobody came before that day",
            where=f"{INPUT_TABLE}, as of {as_of}",
            todo="ingest visits first, or choose a later as-of day",
        )
    return found


def _visits(settings: Settings, as_of: date, tables: Mapping[str, int]) -> pd.DataFrame:
    """The features of all visits before a day, from versions of their tables."""
    from pipeline.shoppers.features import visit_features
    from pipeline.shoppers.wide_frame import frame

    lake, con = Lake(settings), engine.connect(settings)
    visits = engine.table(con, lake, INPUT_TABLE, tables.get(INPUT_TABLE), until=as_of)
    people = engine.table(con, lake, PEOPLE, tables[PEOPLE]) if PEOPLE in tables else None
    return frame(con.to_pyarrow(visit_features(visits, as_of, _brands(con, visits, as_of), people)))


def _shoppers(settings: Settings, as_of: date) -> pd.DataFrame:
    from pipeline.shoppers.wide_frame import frame

    rows = Lake(settings).read(FEATURES_TABLE, where={"as_of": [as_of]})
    if rows.num_rows == 0:
        raise RefusedError(
            "There are no features to score", where=f"{FEATURES_TABLE}, as of {as_of}", todo="build them first"
        )
    return frame(rows)


def _people(settings: Settings, version: int) -> pd.DataFrame:
    people: pd.DataFrame = Lake(settings).read(PEOPLE, version).to_pandas()
    return people


def _champions(settings: Settings) -> dict[str, Loaded] | None:
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    if any(registry.champion(name) is None for name in CHAIN):
        return None
    return {name: registry.load(name) for name in CHAIN}


def _segments_of(settings: Settings, shoppers: pd.DataFrame) -> list[str | None]:
    """The segment of each person, by the champion; None for whom it does not know."""
    from pipeline.registry.client import Registry
    from pipeline.shoppers.features import DEMOGRAPHICS
    from pipeline.shoppers.people_segments import PeopleSegment, assign

    registry = Registry(settings)
    known = shoppers[["person", *DEMOGRAPHICS]].dropna()
    if known.empty or registry.champion(SEGMENTS) is None:
        return [None] * len(shoppers)
    champion = registry.load(SEGMENTS)
    segments = [PeopleSegment(**segment) for segment in champion.artefacts[SEGMENTS_FILE]["segments"]]
    found = assign(champion.model, segments, known)
    names = dict(zip(found["person"], found["segment_name"], strict=True))
    return [names.get(person) for person in shoppers["person"]]
