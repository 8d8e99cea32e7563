"""What the nightly run does with store sales: features, forecasts, page. What is common is in `pipeline.training`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.stores.domain import DOMAIN, MODEL
from pipeline.stores.snapshot import PLANS_TABLE, read_snapshot

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from pipeline.settings import Settings
    from pipeline.stores.snapshot import Snapshot
    from pipeline.training.spec import Champions, Run


def build_features(run: Run) -> pa.Table:
    """Return the features of the planned open days from a day on, and write the state that they are made from.

    Without any planned day there are no rows: training needs no plan, and scoring says what is missing.

    Raises:
        RefusedError: if no store day came before that day, or nothing is known of the stores.
    """
    from pipeline.stores.features import planned_features
    from pipeline.stores.folds import HORIZON
    from pipeline.stores.state import store_state
    from pipeline.stores.state_files import write_state

    lake, con = Lake(run.settings), engine.connect(run.settings)
    snapshot = read_snapshot(con, lake, run.as_of, HORIZON, run.tables)
    state = store_state(con, snapshot.store_days, snapshot.stores, run.as_of, horizon=HORIZON)
    write_state(lake, run.as_of, state)
    return planned_features(state)


def score(run: Run, champions: Champions) -> pa.Table:
    """Return the forecast of every planned day from a day on, with intervals. A planned closed day is 0.

    Raises:
        RefusedError: if no day is planned.
    """
    import pyarrow as pa

    from pipeline.stores.folds import HORIZON
    from pipeline.stores.intervals import INTERVALS_FILE, Intervals

    as_of, lake = run.as_of, Lake(run.settings)
    features = lake.read(DOMAIN.features_table, where={"as_of": [as_of]}).to_pandas()
    snapshot = read_snapshot(engine.connect(run.settings), lake, as_of, HORIZON)
    plan = snapshot.plan.select("store", "day", "open").to_pyarrow().to_pandas()
    if plan.empty:
        raise RefusedError(
            "Nothing is planned, so there are no days to forecast",
            where=f"{PLANS_TABLE}, from {as_of} on",
            todo=f"aisle ingest {PLANS_TABLE} with the days after {as_of - timedelta(days=1)}",
        )
    champion = champions.load(MODEL)
    mean = champion.model.predict(features)
    bounds = Intervals.from_record(champion.artefacts[INTERVALS_FILE]).around(features, mean)
    forecasts = features[["store", "day"]].assign(mean=mean)
    for level, (low, high) in bounds.items():
        forecasts[f"low_{level:.0%}".rstrip("%")], forecasts[f"high_{level:.0%}".rstrip("%")] = low, high
    rows = plan.merge(forecasts, on=["store", "day"], how="left")
    closed_is_zero = dict.fromkeys(rows.columns.difference(["store", "day", "open"]), 0.0)
    rows = rows.fillna(closed_is_zero).sort_values(["store", "day"], ignore_index=True)
    return pa.Table.from_pandas(rows, preserve_index=False)


def write_report(settings: Settings, as_of: date) -> str:
    """Write the page of a day and return its path below home.

    Raises:
        RefusedError: if nothing was forecast on that day.
    """
    from pipeline.registry.client import Registry
    from pipeline.stores.explain import explain_first_days
    from pipeline.stores.folds import HORIZON
    from pipeline.stores.gradient_boosting import BOOSTED
    from pipeline.stores.report import StoresReport, write_stores_report
    from pipeline.stores.specs import EVIDENCE_FILE, STORE_SALES
    from pipeline.stores.sums import SumIntervals

    lake, con, registry, table = Lake(settings), engine.connect(settings), Registry(settings), DOMAIN.results_table
    scored = lake.days(table)
    if as_of not in scored:
        raise RefusedError("Nothing was forecast on that day", where=table, todo=f"aisle score stores --day {as_of}")
    forecasts = lake.read(table, where={"as_of": [as_of]}).to_pandas()
    champion = registry.load(MODEL, int(forecasts["model_version"].iloc[0]), STORE_SALES.trusted_types)
    snapshot = read_snapshot(con, lake, as_of, HORIZON)
    explained = {}
    if isinstance(champion.model, BOOSTED):
        features = lake.read(DOMAIN.features_table, where={"as_of": [as_of]}).to_pandas()
        explained = {"explained": explain_first_days(champion.model, features)}
    return write_stores_report(
        lake,
        con,
        StoresReport(
            as_of=as_of,
            version=champion.version,
            store_days=snapshot.past,
            stores=snapshot.stores,
            plans=snapshot.plan,
            forecasts=forecasts,
            earlier=_with_actuals(lake, snapshot, [day for day in scored if day <= as_of]),
            evidence=champion.artefacts[EVIDENCE_FILE],
            sums=SumIntervals.from_artefacts(champion.artefacts),
            planned_until=max(lake.days(PLANS_TABLE), default=None),
            **explained,
        ),
    )


def _with_actuals(lake: Lake, snapshot: Snapshot, scored: list[date]) -> pd.DataFrame:
    """The newest forecast whose days have all passed (else the oldest), joined with the actual sales of its days."""
    from pipeline.stores.folds import HORIZON

    last = snapshot.past.day.max().to_pyarrow().as_py()
    complete = [day for day in scored if day + timedelta(days=HORIZON - 1) <= last]
    chosen = max(complete, default=min(scored))
    forecasts: pd.DataFrame = lake.read(DOMAIN.results_table, where={"as_of": [chosen]}).to_pandas()
    actual = snapshot.past.select("store", "day", "sales").to_pyarrow().to_pandas()
    return forecasts.merge(actual, on=["store", "day"])
