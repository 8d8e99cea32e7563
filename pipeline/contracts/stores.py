"""`stores`: the attributes of each store, one row a store. It has no time; the newest delivery counts."""

from __future__ import annotations

from pipeline.contracts.contract import Column, ColumnType, Contract

STORES = Contract(
    table="stores",
    columns=(
        Column("store", ColumnType.INTEGER, "Number of the store"),
        Column("store_type", ColumnType.TEXT, "Its format, as the chain calls it"),
        Column("assortment", ColumnType.TEXT, "Its assortment, as the chain calls it"),
        Column("competition_distance", ColumnType.NUMBER, "Metres to the nearest competitor", optional=True),
        Column("competition_since", ColumnType.DATE, "Date on which that competitor opened", optional=True),
        Column("promo2", ColumnType.BOOLEAN, "Whether it takes part in the continuing promotion"),
        Column("promo2_since", ColumnType.DATE, "Date from which it takes part", optional=True),
        Column("promo2_months", ColumnType.TEXT, "Months in which it starts again: Jan,Apr,Jul,Oct", optional=True),
        Column("state", ColumnType.TEXT, "State or region, which decides public and school holidays", optional=True),
    ),
    line_key=("store",),
    event_time=None,
)
