"""`footfall`: one row a day, counted at the door and at the till. A source may do without the day."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from pipeline.contracts.contract import Column, ColumnType, Contract


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:  # noqa: ARG001 (the form of a contract)
    return rows


FOOTFALL = Contract(
    table="footfall",
    columns=(
        Column("day", ColumnType.DATE, "Which; missing where the source only lists days", optional=True),
        Column("visitors", ColumnType.INTEGER, "People who came in"),
        Column("buyers", ColumnType.INTEGER, "People who paid"),
    ),
    derived=(),
    # A day is one thing, and so are all rows without one: the newest delivery is believed.
    line_key=(),
    event_time="day",
    derive=_derive,
)
