"""`footfall`: the visitors and buyers of a day, one row a day. A source may lack the day."""

from __future__ import annotations

from pipeline.contracts.contract import Column, ColumnType, Contract

FOOTFALL = Contract(
    table="footfall",
    columns=(
        Column("day", ColumnType.DATE, "The day; missing where the source does not date its rows", optional=True),
        Column("visitors", ColumnType.INTEGER, "Number of people who came in"),
        Column("buyers", ColumnType.INTEGER, "Number of people who paid"),
    ),
    # The newest delivery that has a day replaces it; undated rows count as one day.
    line_key=(),
    event_time="day",
)
