"""Read the clean tables as a forecast made on a day may: sales before that day, and the planned calendar from it on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING

import ibis
from ibis import _

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.stores.calendar import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.lake.tables import Lake

STORE_DAYS_TABLE, STORES_TABLE, PLANS_TABLE = "store_days", "stores", "store_plans"
DAY_COLUMNS = ("store", "day", "open", "promo", "state_holiday", "school_holiday")
OUTCOME_COLUMNS = ("sales", "customers")  # known only once the day is over
MIN_DISTANCES = 3
"""From fewer distances between its rows the grain of a store's rows is not known."""
STORE_COLUMNS = (
    "store",
    "store_type",
    "assortment",
    "competition_distance",
    "competition_since",
    "promo2",
    "promo2_since",
    "promo2_months",
    "state",
)


@dataclass(frozen=True)
class Snapshot:
    """What is known on the morning of a day, as tables of the engine.

    Attributes:
        past: `DAY_COLUMNS` and `OUTCOME_COLUMNS` of the store days before that day.
        plan: `DAY_COLUMNS` of the store days from that day on.
        stores: `STORE_COLUMNS`, one row for each store of `past` or `plan`.
    """

    past: ir.Table
    plan: ir.Table
    stores: ir.Table

    @property
    def store_days(self) -> ir.Table:
        """The past and the planned days in one table; sales and customers of planned days are null."""
        unknown = {name: ibis.null(self.past[name].type()) for name in OUTCOME_COLUMNS}
        return self.past.union(self.plan.mutate(**unknown).select(self.past.columns))


def read_snapshot(
    con: Backend, lake: Lake, as_of: date, horizon: int, tables: Mapping[str, int] | None = None
) -> Snapshot:
    """Read what is known on the morning of a day.

    Days from `as_of` on are read from the plan. A day that has no plan but has been recorded since, as in a backtest,
    is read from the recorded days: its calendar, promotion, holidays and opening, but neither sales nor customers.

    Args:
        con: the engine in which the tables are created.
        lake: where the clean tables are.
        as_of: the first day that is not known.
        horizon: days of the plan to read.
        tables: versions of the tables to read; the newest of those that are not named.

    Raises:
        RefusedError: if there is no store day before `as_of`, the rows before it are not daily, or there is no table
            of stores.
    """
    end, tables = as_of + timedelta(days=horizon), tables or {}
    days = engine.table(con, lake, STORE_DAYS_TABLE, tables.get(STORE_DAYS_TABLE), until=end)
    past = _materialised(con, days.filter(days.day < ibis.date(as_of)).select(*DAY_COLUMNS, *OUTCOME_COLUMNS))
    if not past.count().to_pyarrow().as_py():
        raise RefusedError(
            "There are no store days before this day",
            where=f"table {STORE_DAYS_TABLE}, before {as_of}",
            todo=f"aisle ingest {STORE_DAYS_TABLE} first",
        )
    _refuse_other_grain(past)
    plan = days.filter(days.day >= ibis.date(as_of)).select(*DAY_COLUMNS)
    if lake.exists(PLANS_TABLE):
        planned = engine.table(con, lake, PLANS_TABLE, tables.get(PLANS_TABLE), since=as_of, until=end)
        planned = planned.filter(planned.day.between(ibis.date(as_of), ibis.date(end - timedelta(days=1))))
        planned = planned.select(*DAY_COLUMNS)
        plan = planned.union(plan.anti_join(planned, ["store", "day"]))
    plan = _materialised(con, plan)
    attributes = _store_attributes(con, lake, past, plan, tables.get(STORES_TABLE))
    return Snapshot(past, plan, _materialised(con, attributes))


def _refuse_other_grain(past: ir.Table) -> None:
    """Refuse rows of weeks or months: their sums would be taken for days.

    Rows are daily if, in at least half of the stores, the median distance from one row to the next is one day. So
    closed days may be missing, and stores may close for months.

    Raises:
        RefusedError: if the rows are not daily.
    """
    previous = past.day.lag().over(ibis.window(group_by="store", order_by="day"))
    distances = past.select("store", distance=past.day.delta(previous, unit="day"))
    by_store = distances.group_by("store").aggregate(distance=_.distance.median(), known=_.distance.count())
    typical = by_store.filter(by_store.known >= MIN_DISTANCES).distance.to_pyarrow().to_pylist()
    if not typical or median(typical) <= 1:
        return
    raise RefusedError(
        "The rows of the stores are not daily",
        where=f"table {STORE_DAYS_TABLE}",
        observed=f"one row a store every {median(typical):g} days, in most of {len(typical):,} stores",
        allowed="one row a store and day; closed days may be missing, or have open = false",
        todo="deliver the sales of each day: totals of weeks or months cannot be split into days",
    )


def _store_attributes(con: Backend, lake: Lake, past: ir.Table, plan: ir.Table, version: int | None) -> ir.Table:
    """Return `STORE_COLUMNS` of every store that has days; a store missing from the table gets unknown attributes."""
    if not lake.exists(STORES_TABLE):
        raise RefusedError(
            "There is no table of stores", where=f"table {STORES_TABLE}", todo=f"aisle ingest {STORES_TABLE}"
        )
    numbers = past.select("store").union(plan.select("store"), distinct=True)
    attributes = engine.table(con, lake, STORES_TABLE, version).select(*STORE_COLUMNS)
    joined = numbers.left_join(attributes, "store").drop("store_right")
    return joined.mutate(
        store_type=joined.store_type.fill_null(UNKNOWN),
        assortment=joined.assortment.fill_null(UNKNOWN),
        promo2=joined.promo2.fill_null(False),
    )


def _materialised(con: Backend, rows: ir.Table) -> ir.Table:
    """Store the rows in the engine, so that a table of a thousand files is read only once."""
    return con.create_table(ibis.util.gen_name("snapshot"), rows)
