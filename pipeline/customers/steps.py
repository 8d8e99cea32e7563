"""What the nightly run does with customers: features, segments, page. What is common is in `pipeline.training`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pipeline.customers.domain import DOMAIN
from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.settings import Settings
    from pipeline.training.spec import Champions, Run

MODEL = "customer_segments"


def build_features(run: Run) -> pa.Table:
    """Return every customer's features as of a day.

    Raises:
        RefusedError: if no known customer bought anything in the window.
    """
    from pipeline.customers.features import customer_features
    from pipeline.ingestion.sources import load_sources

    settings, as_of, table = run.settings, run.as_of, DOMAIN.input_table
    lake, con = Lake(settings), engine.connect(settings)
    since = as_of - timedelta(days=settings.window_days)
    transactions = engine.table(con, lake, table, run.tables.get(table), since=since, until=as_of)
    home = load_sources(settings).spec.home_country
    rows = con.to_pyarrow(customer_features(transactions, as_of, window_days=settings.window_days, home_country=home))
    if rows.num_rows == 0:
        raise RefusedError(
            "No known customer bought anything in the window",
            where=f"{table}, {since} to {as_of}",
            todo="ingest the days of the window first, or choose another as-of day",
        )
    return rows.sort_by("customer_id")


def score(run: Run, champions: Champions) -> pa.Table:
    """Return the champion's segment of every customer as of a day.

    Raises:
        RefusedError: if the day's features are missing.
    """
    from pipeline.customers.segment_map import SEGMENTS_FILE, SegmentMap, assign

    as_of, table = run.as_of, DOMAIN.features_table
    lake, con = Lake(run.settings), engine.connect(run.settings)
    segments = SegmentMap.from_record(champions.artefacts(MODEL)[SEGMENTS_FILE])
    features = engine.table(con, lake, table, run.tables[table], since=as_of, until=as_of + timedelta(days=1))
    rows = con.to_pyarrow(assign(features, segments))
    if rows.num_rows == 0:
        raise RefusedError("There are no features to score", where=f"{table}, as of {as_of}", todo="build them first")
    return rows.sort_by("customer_id")


def write_report(settings: Settings, as_of: date) -> str:
    """Write the customers' page of a day and return its path below home.

    Raises:
        RefusedError: if the day is not scored.
    """
    from pipeline.customers.features import guest_revenue
    from pipeline.customers.report import CustomersReport, write_customers_report
    from pipeline.customers.report_content import further_sections
    from pipeline.customers.segment_map import profile
    from pipeline.customers.specs import CURVE_FILE
    from pipeline.customers.window_sums import first_day, sum_window
    from pipeline.registry.client import Registry

    lake, registry, con = Lake(settings), Registry(settings), engine.connect(settings)
    window_days, day = settings.window_days, as_of + timedelta(days=1)
    assigned = engine.table(con, lake, DOMAIN.results_table, since=as_of, until=day)
    features = engine.table(con, lake, DOMAIN.features_table, since=as_of, until=day).drop("as_of")
    champion = registry.get(MODEL, _model_version(con.to_pyarrow(assigned.select("model_version").limit(1))))
    since = first_day(as_of, window_days)
    transactions = engine.table(con, lake, DOMAIN.input_table, since=since, until=as_of)
    sums = sum_window(con, transactions, as_of, window_days)
    guests = con.to_pyarrow(guest_revenue(sums.in_window)).to_pylist()[0]
    found = con.to_pandas(profile(assigned.join(features, "customer_id")))
    report = CustomersReport(
        as_of=as_of,
        window_days=window_days,
        champion=champion,
        choice=registry.artefacts(MODEL, champion.version)[CURVE_FILE],
        profile=found,
        guests=guests,
        further=further_sections(settings, con, sums, as_of, found["segment_name"].tolist()),
    )
    return write_customers_report(lake, report)


def _model_version(rows: Any) -> int:
    if rows.num_rows == 0:
        raise RefusedError(
            "No customers are scored as of that day", where=DOMAIN.results_table, todo="run aisle score customers"
        )
    return int(rows["model_version"][0].as_py())
