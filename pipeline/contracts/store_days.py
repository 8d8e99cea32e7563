"""`store_days`: one row a store and day, as it came. A day without a row is unknown, which is not closed."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.contracts.contract import Column, ColumnType, Contract

KEY = (Column("store", ColumnType.INTEGER, "Number of the store"), Column("day", ColumnType.DATE, "Which"))
KNOWN_AHEAD = (
    Column("open", ColumnType.BOOLEAN, "Whether the store is open"),
    Column("promo", ColumnType.BOOLEAN, "Whether it has a promotion that day"),
    Column("state_holiday", ColumnType.TEXT, "none, public, easter or christmas"),
    Column("school_holiday", ColumnType.BOOLEAN, "Whether its schools are closed"),
)
"""What is known of a store's day before it comes; `store_plans` has it of the days ahead."""


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:  # noqa: ARG001 (the form of a contract)
    return rows


STORE_DAYS = Contract(
    table="store_days",
    columns=(
        *KEY,
        Column("sales", ColumnType.NUMBER, "Turnover of the day in the shop's currency; 0 when closed"),
        Column("customers", ColumnType.INTEGER, "People who paid", optional=True),
        *KNOWN_AHEAD,
    ),
    derived=(),
    line_key=("store",),
    event_time="day",
    derive=_derive,
)
