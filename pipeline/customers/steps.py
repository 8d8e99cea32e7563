"""What the nightly run does with customers, a step a function: read from the lake, call the pure parts, write back.

A step imports what only it needs (scikit-learn, MLflow, Plotly) when it runs: each is a process of its own at night.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import ibis

from pipeline.customers.segment_map import SegmentMap, assign, profile
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake, TableRef
from pipeline.settings import Settings
from pipeline.training.gate import Better, Decision, Floor, NotWorse, Window, decide
from pipeline.training.lifecycle import Trained, note_decision

MODEL = "customer_segments"
INPUT_TABLE, FEATURES_TABLE, SCORES_TABLE = "transactions", "customer_features", "customer_segments"
SEGMENTS_FILE, CURVE_FILE = "segments.json", "choice_of_k.json"

RULES = (
    Floor("silhouette", 0.15),
    Floor("stability", 0.7),
    Floor("smallest_share", 0.02),
    NotWorse("stability", 0.05),
    # Less than this is the error of the silhouette itself, and people would relearn their segments for nothing.
    Better("silhouette", by=0.005),
)
"""What a challenger must show on its own window, where the champion is measured too."""


def build_features(settings: Settings, as_of: date) -> TableRef:
    """Write every customer's features as of a day; that day of the table is replaced.

    Raises:
        RefusedError: if no known customer bought anything in the window.
    """
    from pipeline.customers.features import customer_features
    from pipeline.ingestion.sources import load_sources

    lake, con = Lake(settings), engine.connect(settings)
    since = as_of - timedelta(days=settings.window_days)
    transactions = engine.table(con, lake, INPUT_TABLE, since=since, until=as_of)
    home = load_sources(settings).spec.home_country
    rows = con.to_pyarrow(customer_features(transactions, as_of, window_days=settings.window_days, home_country=home))
    if rows.num_rows == 0:
        raise RefusedError(
            "No known customer bought anything in the window",
            where=f"{INPUT_TABLE}, {since} to {as_of}",
            todo="ingest the days of the window first, or choose another as-of day",
        )
    return lake.replace(FEATURES_TABLE, {"as_of": [as_of]}, rows.sort_by("customer_id"))


def train(settings: Settings, model: str, as_of: date) -> Trained:
    """Train on the features as of a day and register the model as challenger.

    Raises:
        RefusedError: if the features are missing, or no number of segments is admissible.
    """
    from pipeline.code_version import code_version
    from pipeline.customers import segments
    from pipeline.registry.client import Registry
    from pipeline.registry.records import Provenance

    lake, registry = Lake(settings), Registry(settings)
    version = lake.version(FEATURES_TABLE)
    frame = lake.read(FEATURES_TABLE, version, {"as_of": [as_of]}).to_pandas()
    if frame.empty:
        raise RefusedError(
            "There are no features to train on",
            where=f"{FEATURES_TABLE}, as of {as_of}",
            observed=f"days up to {max(lake.days(FEATURES_TABLE), default=None)}",
            todo="build them first: aisle score customers --day …, or aisle train does both",
        )
    champion = registry.load(model) if registry.champion(model) else None
    known = segments.SegmentModel(champion.model, _segment_map(champion.artefacts)) if champion else None
    training = segments.train(frame, seed=settings.seed, champion=known)
    fitted = training.model
    metrics = segments.segment_quality(fitted.pipeline, frame, settings.seed)
    registered = registry.log_challenger(
        model,
        fitted.pipeline,
        provenance=Provenance(
            as_of,
            {INPUT_TABLE: lake.version(INPUT_TABLE), FEATURES_TABLE: version},
            segments.SEGMENT_FEATURES,
            settings.seed,
            code_version(settings),
        ),
        example=frame[list(segments.SEGMENT_FEATURES)],
        metrics=metrics,
        params={
            "k": training.choice.k,
            "window_days": settings.window_days,
            # The champion gives the segments their identity, so with another one it is another model.
            "identity_from": champion.version.version if champion else None,
        },
        artefacts={SEGMENTS_FILE: fitted.map.to_record(), CURVE_FILE: training.choice.to_record()},
    )
    return Trained(model, registered.version, training.choice.reason, dict(registered.metrics))


def gate(settings: Settings, model: str, version: int) -> Decision:
    """Decide whether a challenger may become champion, and note it on the version; a refusal goes on record as well.

    Both are measured on the features that the challenger was trained on, read by their Delta version.
    """
    from pipeline.customers.segments import segment_quality
    from pipeline.registry.client import Registry
    from pipeline.registry.records import Loaded

    lake, registry = Lake(settings), Registry(settings)
    challenger, champion = registry.load(model, version), registry.champion(model)
    made_from = challenger.version.provenance
    window = Window(FEATURES_TABLE, made_from.tables[FEATURES_TABLE], made_from.as_of)
    frame = lake.read(FEATURES_TABLE, window.version, {"as_of": [window.as_of]}).to_pandas()

    def measure(contestant: Loaded) -> dict[str, float]:
        return segment_quality(contestant.model, frame, made_from.seed)

    in_use = champion is not None and champion.version != version
    decision = decide(
        measure(challenger), measure(registry.load(model)) if in_use else None, None, RULES, window=window
    )
    note_decision(settings, model, version, decision)
    return decision


def score(settings: Settings, as_of: date) -> TableRef | None:
    """Assign every customer as of a day to a segment of the champion; None while there is no champion.

    Raises:
        RefusedError: if the day's features are missing.
    """
    from pipeline.registry.client import Registry

    registry = Registry(settings)
    champion = registry.champion(MODEL)
    if champion is None:
        return None
    lake, con = Lake(settings), engine.connect(settings)
    segments = _segment_map(registry.artefacts(MODEL, champion.version))
    day = as_of + timedelta(days=1)
    rows = assign(engine.table(con, lake, FEATURES_TABLE, since=as_of, until=day), segments)
    table = con.to_pyarrow(rows.mutate(model_version=ibis.literal(champion.version, "int64")))
    if table.num_rows == 0:
        raise RefusedError(
            "There are no features to score", where=f"{FEATURES_TABLE}, as of {as_of}", todo="build them first"
        )
    return lake.replace(SCORES_TABLE, {"as_of": [as_of]}, table.sort_by("customer_id"))


def write_report(settings: Settings, as_of: date) -> str:
    """Write the customers' page of a day and return its path below home."""
    from pipeline.customers.features import guest_revenue
    from pipeline.customers.report import CustomersReport, write_customers_report
    from pipeline.registry.client import Registry

    lake, registry, con = Lake(settings), Registry(settings), engine.connect(settings)
    since, day = as_of - timedelta(days=settings.window_days), as_of + timedelta(days=1)
    assigned = engine.table(con, lake, SCORES_TABLE, since=as_of, until=day)
    made = engine.table(con, lake, FEATURES_TABLE, since=as_of, until=day).drop("as_of")
    transactions = engine.table(con, lake, INPUT_TABLE, since=since, until=as_of)
    champion = registry.get(MODEL, _model_version(con.to_pyarrow(assigned.select("model_version").limit(1))))
    guests = con.to_pyarrow(guest_revenue(transactions, as_of, window_days=settings.window_days)).to_pylist()[0]
    report = CustomersReport(
        as_of=as_of,
        window_days=settings.window_days,
        champion=champion,
        choice=registry.artefacts(MODEL, champion.version)[CURVE_FILE],
        profile=con.to_pandas(profile(assigned.join(made, "customer_id"))),
        guests=guests,
    )
    return write_customers_report(lake, report)


def _segment_map(artefacts: Mapping[str, Any]) -> SegmentMap:
    return SegmentMap.from_record(artefacts[SEGMENTS_FILE])


def _model_version(rows: Any) -> int:
    if rows.num_rows == 0:
        raise RefusedError(
            "No customers are scored as of that day", where=SCORES_TABLE, todo="run aisle score customers"
        )
    return int(rows["model_version"][0].as_py())
