"""`people`: the demographics of each person, one row a person. It has no time; the newest delivery counts."""

from __future__ import annotations

from dataclasses import replace

from pipeline.contracts.contract import Column, ColumnType, Contract
from pipeline.contracts.visits import DEMOGRAPHICS

PEOPLE = Contract(
    table="people",
    columns=(
        Column("person", ColumnType.IDENTIFIER, "Identifier of the person"),
        *(replace(column, optional=False) for column in DEMOGRAPHICS),
    ),
    line_key=("person",),
    event_time=None,
)
