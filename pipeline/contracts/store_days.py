"""`store_days`: what a store sold on a day, one row a store and day. A day without a row is unknown, not closed."""

from __future__ import annotations

from pipeline.contracts.contract import Column, ColumnType, Contract

KEY = (Column("store", ColumnType.INTEGER, "Number of the store"), Column("day", ColumnType.DATE, "The day"))
KNOWN_AHEAD = (
    Column("open", ColumnType.BOOLEAN, "Whether the store is open"),
    Column("promo", ColumnType.BOOLEAN, "Whether it has a promotion that day"),
    Column("state_holiday", ColumnType.TEXT, "none, public, easter or christmas"),
    Column("school_holiday", ColumnType.BOOLEAN, "Whether its schools are closed"),
)
"""What is known of a store's day in advance; `store_plans` has it for the days ahead."""


STORE_DAYS = Contract(
    table="store_days",
    columns=(
        *KEY,
        Column("sales", ColumnType.NUMBER, "Sales of the day in the shop's currency; 0 when closed"),
        Column("customers", ColumnType.INTEGER, "Number of people who paid", optional=True),
        *KNOWN_AHEAD,
    ),
    line_key=("store",),
    event_time="day",
)
