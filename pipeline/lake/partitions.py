"""Partitions of a table, by the values of the columns by which it is partitioned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pipeline.errors import UsageError

Partition = Mapping[str, Sequence[str | date]]
"""For each column, the values whose partitions are meant."""


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
