"""The simulated chain in the engine, and rows written by hand."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from pipeline.simulate.store_days import Chain

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

FIRST, AS_OF = dt.date(2013, 1, 7), dt.date(2015, 2, 2)


@dataclass(frozen=True)
class Planted:
    """The chain, its tables, and the open days of it."""

    chain: Chain
    con: Backend
    store_days: ir.Table
    stores: ir.Table
    days: ir.Table
    daily: pd.DataFrame


def rows(con: Backend, records: list[dict[str, object]]) -> ir.Table:
    """Store days by hand: store, day and sales, and what differs from an ordinary open day."""
    plain = {"customers": 10, "open": True, "promo": False, "state_holiday": "none", "school_holiday": False}
    frame = pd.DataFrame([plain | record for record in records])
    table = con.create_table(ibis.util.gen_name("rows"), frame)
    return table.mutate(
        day=table.day.cast("date"),
        sales=table.sales.cast("float64"),
        customers=table.customers.cast("int64"),
        open=table.open.cast("boolean"),
        state_holiday=table.state_holiday.cast("string"),
    )


def plain(days: int, start: str = "2024-01-01", *, sales: float = 100.0, store: int = 1) -> list[dict[str, object]]:
    """So many ordinary days."""
    return [{"store": store, "day": day, "sales": sales} for day in pd.date_range(start, periods=days)]
