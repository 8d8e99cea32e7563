"""Partitions of a table, by the values of the columns by which it is partitioned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError

Partition = Mapping[str, Sequence[str | date]]
"""For each column, the values whose partitions are meant."""
Keep: TypeAlias = Callable[[pa.Table], pa.ChunkedArray]
"""Selects data files: from what the commits say of them, a column each, to whether a file is kept."""


def predicate(where: Partition) -> str:
    """Return the partitions as the SQL condition that Delta expects."""
    if not where or not all(where.values()):
        raise UsageError(
            "A replacement must name the partitions it replaces",
            observed=dict(where),
            allowed="at least one column, and at least one value of each",
        )
    clauses = []
    for column, values in where.items():
        listed = ", ".join("'" + str(value).replace("'", "''") + "'" for value in values)
        clauses.append(f"{column} IN ({listed})")
    return " AND ".join(clauses)


def as_json(where: Partition) -> dict[str, list[str]]:
    """Return the partitions as values that JSON can hold."""
    return {column: [str(value) for value in values] for column, values in where.items()}


def single_day(where: Partition) -> date | None:
    """Return the day among the values of the partitions if there is exactly one, or None."""
    days = [value for values in where.values() for value in values if isinstance(value, date)]
    return days[0] if len(days) == 1 else None


def among(column: str, values: Collection[str]) -> Keep:
    """Select the files of some partitions of a column."""
    listed = pa.array(sorted(values), pa.string())
    return lambda files: pc.is_in(_text(files, column), listed)


def beginning_with(column: str, prefix: str) -> Keep:
    """Select the files of the partitions of a column whose value begins with a text."""
    return lambda files: pc.starts_with(_text(files, column), prefix)


def between(column: str, low: str, high: str) -> Keep:
    """Select the files of the partitions of a column from `low` to before `high`, as texts; days are texts, too."""

    def keep(files: pa.Table) -> pa.ChunkedArray:
        values = _text(files, column)
        return pc.and_(pc.greater_equal(values, low), pc.less(values, high))

    return keep


def with_values(column: str, low: date, high: date) -> Keep:
    """Select the files whose rows may have values of a column from `low` to `high`; never one without rows."""
    return lambda files: pc.and_(
        pc.less_equal(files[f"min.{column}"], high), pc.greater_equal(files[f"max.{column}"], low)
    )


def _text(files: pa.Table, column: str) -> pa.ChunkedArray:
    return files[f"partition.{column}"].cast(pa.string())
