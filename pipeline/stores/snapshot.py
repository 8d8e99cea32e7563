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

DAYS, STORES, PLANS = "store_days", "stores", "store_plans"
CALENDAR = ("store", "day", "open", "promo", "state_holiday", "school_holiday")
FOUND_OUT = ("sales", "customers")  # what only the day itself tells
ABOUT_STORES = (
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
        past: store days before it: `CALENDAR` and `FOUND_OUT`.
        plan: `CALENDAR` of the days from it on.
        stores: one row a store of either.
    """

    past: ir.Table
    plan: ir.Table
    stores: ir.Table

    @property
    def store_days(self) -> ir.Table:
        """Past and plan in one; what the planned days will sell is null."""
        nothing = {name: ibis.null(self.past[name].type()) for name in FOUND_OUT}
        return self.past.union(self.plan.mutate(**nothing).select(self.past.columns))


def known(con: Backend, lake: Lake, as_of: date, horizon: int) -> Snapshot:
    """Read what is known on the morning of a day.

    A day that has been planned is as the plan says. Days that came in the meantime without ever being planned are as
    they came, as in a backtest: calendar, promotions, holidays and closures only.

    Raises:
        RefusedError: if no store day came before it, or nothing is known of the stores.
    """
    end = as_of + timedelta(days=horizon)
    days = engine.table(con, lake, DAYS, until=end)
    past = _stored(con, days.filter(days.day < ibis.date(as_of)).select(*CALENDAR, *FOUND_OUT))
    if not past.count().to_pyarrow().as_py():
        raise RefusedError(
            "No store day is known", where=f"table {DAYS}, before {as_of}", todo=f"aisle ingest {DAYS} first"
        )
    plan = days.filter(days.day >= ibis.date(as_of)).select(*CALENDAR)
    if lake.exists(PLANS):
        planned = engine.table(con, lake, PLANS, since=as_of, until=end)
        planned = planned.filter(planned.day.between(ibis.date(as_of), ibis.date(end - timedelta(days=1))))
        planned = planned.select(*CALENDAR)
        plan = planned.union(plan.anti_join(planned, ["store", "day"]))
    plan = _stored(con, plan)
    return Snapshot(past, plan, _stored(con, _stores(con, lake, past, plan)))


def _stores(con: Backend, lake: Lake, past: ir.Table, plan: ir.Table) -> ir.Table:
    """A row for every store that has days: one that the table of stores lacks is of unknown kind, not left out."""
    if not lake.exists(STORES):
        raise RefusedError("Nothing is known of the stores", where=f"table {STORES}", todo=f"aisle ingest {STORES}")
    numbers = past.select("store").union(plan.select("store"), distinct=True)
    joined = numbers.left_join(engine.table(con, lake, STORES).select(*ABOUT_STORES), "store").drop("store_right")
    return joined.mutate(
        store_type=joined.store_type.fill_null(UNKNOWN),
        assortment=joined.assortment.fill_null(UNKNOWN),
        promo2=joined.promo2.fill_null(False),
    )


def _stored(con: Backend, rows: ir.Table) -> ir.Table:
    """Rows in the engine, so that a table of a thousand files is read once."""
    return con.create_table(ibis.util.gen_name("known"), rows)
