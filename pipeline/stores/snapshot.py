"""The clean tables as forecasts read them: what came before a day, and the calendar of what is planned from it on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import ibis

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.stores.calendar import UNKNOWN

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.lake.tables import Lake

STORE_DAYS_TABLE, STORES_TABLE, PLANS_TABLE = "store_days", "stores", "store_plans"
DAY_COLUMNS = ("store", "day", "open", "promo", "state_holiday", "school_holiday")
OUTCOME_COLUMNS = ("sales", "customers")  # what only the day itself tells
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
        past: store days before it: `DAY_COLUMNS` and `OUTCOME_COLUMNS`.
        plan: `DAY_COLUMNS` of the days from it on.
        stores: one row a store of either.
    """

    past: ir.Table
    plan: ir.Table
    stores: ir.Table

    @property
    def store_days(self) -> ir.Table:
        """Past and plan in one; what the planned days will sell is null."""
        nothing = {name: ibis.null(self.past[name].type()) for name in OUTCOME_COLUMNS}
        return self.past.union(self.plan.mutate(**nothing).select(self.past.columns))


def read_snapshot(con: Backend, lake: Lake, as_of: date, horizon: int) -> Snapshot:
    """Read what is known on the morning of a day.

    A day that has been planned is as the plan says. Days that came in the meantime without ever being planned are as
    they came, as in a backtest: calendar, promotions, holidays and closures only.

    Raises:
        RefusedError: if no store day came before it, or nothing is known of the stores.
    """
    end = as_of + timedelta(days=horizon)
    days = engine.table(con, lake, STORE_DAYS_TABLE, until=end)
    past = _materialised(con, days.filter(days.day < ibis.date(as_of)).select(*DAY_COLUMNS, *OUTCOME_COLUMNS))
    if not past.count().to_pyarrow().as_py():
        raise RefusedError(
            "No store day is known",
            where=f"table {STORE_DAYS_TABLE}, before {as_of}",
            todo=f"aisle ingest {STORE_DAYS_TABLE} first",
        )
    plan = days.filter(days.day >= ibis.date(as_of)).select(*DAY_COLUMNS)
    if lake.exists(PLANS_TABLE):
        planned = engine.table(con, lake, PLANS_TABLE, since=as_of, until=end)
        planned = planned.filter(planned.day.between(ibis.date(as_of), ibis.date(end - timedelta(days=1))))
        planned = planned.select(*DAY_COLUMNS)
        plan = planned.union(plan.anti_join(planned, ["store", "day"]))
    plan = _materialised(con, plan)
    return Snapshot(past, plan, _materialised(con, _store_attributes(con, lake, past, plan)))


def _store_attributes(con: Backend, lake: Lake, past: ir.Table, plan: ir.Table) -> ir.Table:
    """A row for every store that has days: one that the table of stores lacks is of unknown kind, not left out."""
    if not lake.exists(STORES_TABLE):
        raise RefusedError(
            "Nothing is known of the stores", where=f"table {STORES_TABLE}", todo=f"aisle ingest {STORES_TABLE}"
        )
    numbers = past.select("store").union(plan.select("store"), distinct=True)
    joined = numbers.left_join(engine.table(con, lake, STORES_TABLE).select(*STORE_COLUMNS), "store").drop(
        "store_right"
    )
    return joined.mutate(
        store_type=joined.store_type.fill_null(UNKNOWN),
        assortment=joined.assortment.fill_null(UNKNOWN),
        promo2=joined.promo2.fill_null(False),
    )


def _materialised(con: Backend, rows: ir.Table) -> ir.Table:
    """Rows in the engine, so that a table of a thousand files is read once."""
    return con.create_table(ibis.util.gen_name("known"), rows)
