"""`people`: one row a person, and who they are. It has no time: the newest delivery that speaks of one is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from pipeline.contracts.contract import Column, ColumnType, Contract
from pipeline.contracts.visits import DEMOGRAPHICS


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:  # noqa: ARG001 (the form of a contract)
    return rows


PEOPLE = Contract(
    table="people",
    columns=(
        Column("person", ColumnType.IDENTIFIER, "Who"),
        *(replace(column, optional=False) for column in DEMOGRAPHICS),
    ),
    derived=(),
    line_key=("person",),
    event_time=None,
    derive=_derive,
)
