"""The left join of a second file to a delivery: `join` in `sources.yaml`."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import ColumnType
from pipeline.errors import RefusedError
from pipeline.ingestion.casting import parse, trimmed
from pipeline.ingestion.rows import Rows

MAX_FAULTS = 5
"""How many faults a message lists."""


def left_join(rows: Rows, more: Rows, by: str, where: str) -> Rows:
    """Left-join `more` to `rows` on the column `by`, which must be unique in `more`.

    Args:
        rows: the delivery.
        more: the file that is joined to it.
        by: a column of both; cells are compared as identifiers, so `7.0` equals `7`.
        where: the source's place in `sources.yaml`, for messages.

    Returns:
        `rows` with the other columns of `more`, null where it has no matching row.

    Raises:
        RefusedError: if a file lacks the column `by`, if another column is in both, or if `more` repeats a value of
            `by` or has malformed lines.
    """
    names = [name for name in more.table.column_names if name != by]
    both = {"the delivery": rows, "the file": more}
    faults = [f"{file} has no column {by!r}" for file, its in both.items() if by not in its.table.column_names]
    faults += [f"both have a column {name!r}" for name in names if name in rows.table.column_names]
    faults += [f"row {line.row} of the file has {line.fault}" for line in more.malformed]
    if not faults:
        counts = pc.value_counts(_keys(more, by).drop_null()).to_pylist()
        faults = [f"{c['values']!r} is in {c['counts']} rows of the file" for c in counts if c["counts"] > 1]
    if faults:
        raise RefusedError(
            "The file to be joined does not fit the delivery",
            where=where,
            observed="; ".join(faults[:MAX_FAULTS]),
            allowed=f"the column {by!r} in both, each of its values once in the file, no other column in common",
            todo="correct the file, or join: in sources.yaml",
        )
    positions = pc.index_in(_keys(rows, by), value_set=_keys(more, by).combine_chunks(), skip_nulls=True)
    table = rows.table
    for name in names:
        table = table.append_column(name, pc.take(more.table[name], positions))
    return replace(rows, table=table)


def _keys(rows: Rows, by: str) -> pa.ChunkedArray:
    """The join column as identifiers: trimmed, and without the `.0` that spreadsheets add to numbers."""
    return parse(trimmed(rows.table[by]), ColumnType.IDENTIFIER)
