"""A second file's columns beside the rows of a delivery: `join` in sources.yaml."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import ColumnType
from pipeline.errors import RefusedError
from pipeline.ingestion.casting import parse, trimmed
from pipeline.ingestion.readers import Rows

SHOWN = 5
"""How many faults a message names."""


def left_join(rows: Rows, more: Rows, by: str, where: str) -> Rows:
    """The rows, each with the columns of the row of `more` that says the same in the column `by`; missing where none.

    Raises:
        RefusedError: if a file lacks the column, or `more` has a thing twice, lines that cannot be split, or another
            column that the delivery has too.
    """
    names = [name for name in more.table.column_names if name != by]
    both = {"the delivery": rows, "the file": more}
    faults = [f"{of} has no column {by!r}" for of, its in both.items() if by not in its.table.column_names]
    faults += [f"both have a column {name!r}" for name in names if name in rows.table.column_names]
    faults += [f"row {line.row} of the file has {line.fault}" for line in more.malformed]
    if not faults:
        counts = pc.value_counts(_things(more, by).drop_null()).to_pylist()
        faults = [f"{c['values']!r} stands {c['counts']} times in the file" for c in counts if c["counts"] > 1]
    if faults:
        raise RefusedError(
            "The file to be joined does not fit the delivery",
            where=where,
            observed="; ".join(faults[:SHOWN]),
            allowed=f"the column {by!r} in both, each thing once in the file, no other column in common",
            todo="mend the file, or join: in sources.yaml",
        )
    at = pc.index_in(_things(rows, by), value_set=_things(more, by).combine_chunks(), skip_nulls=True)
    table = rows.table
    for name in names:
        table = table.append_column(name, pc.take(more.table[name], at))
    return replace(rows, table=table)


def _things(rows: Rows, by: str) -> pa.ChunkedArray:
    """What each row is about, without what spreadsheets do to numbers."""
    return parse(trimmed(rows.table[by]), ColumnType.IDENTIFIER)
