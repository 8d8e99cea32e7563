"""`stores`: one row a store, and what it is. It has no time: the newest delivery that speaks of one is right."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.contracts.contract import Column, ColumnType, Contract


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:  # noqa: ARG001 (the form of a contract)
    return rows


STORES = Contract(
    table="stores",
    columns=(
        Column("store", ColumnType.INTEGER, "Number of the store"),
        Column("store_type", ColumnType.TEXT, "Its format, in the chain's own words"),
        Column("assortment", ColumnType.TEXT, "What it offers, in the chain's own words"),
        Column("competition_distance", ColumnType.NUMBER, "Metres to the nearest competitor", optional=True),
        Column("competition_since", ColumnType.DATE, "When that one opened", optional=True),
        Column("promo2", ColumnType.BOOLEAN, "Whether it takes part in the continuing promotion"),
        Column("promo2_since", ColumnType.DATE, "Since when", optional=True),
        Column("promo2_months", ColumnType.TEXT, "In which months it begins anew: Jan,Apr,Jul,Oct", optional=True),
        Column("state", ColumnType.TEXT, "Where it is: what has holidays and schools of its own", optional=True),
    ),
    derived=(),
    line_key=("store",),
    event_time=None,
    derive=_derive,
)
