"""Expectations that values are unique in a delivery, by the engine: they need all rows at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.ingestion.row_conditions import is_simple
from pipeline.lake.sql import quoted

UNIQUE = ("expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique")


def shared_values(expectation: Mapping[str, Any], schema: pa.Schema) -> str | None:
    """Return the query for the rows that share their values with another row.

    Args:
        expectation: the expectation.
        schema: the columns of the rows.

    Returns:
        SQL in which `{rows}` stands for the rows; None if the expectation is not one of these, or not covered.
    """
    kwargs = {name: value for name, value in expectation["kwargs"].items() if value is not None}
    columns = kwargs.get("column_list") or [kwargs.get("column")]
    condition = kwargs.get("row_condition")
    known = {"column", "column_list", "ignore_row_if", "row_condition", "condition_parser"}
    if (
        expectation["type"] not in UNIQUE
        or not kwargs.keys() <= known
        or not set(columns) <= set(schema.names)
        or (condition is not None and not is_simple(condition))
        or ("column_list" in kwargs and kwargs.get("ignore_row_if") != "any_value_is_missing")
    ):
        return None
    names = ", ".join(map(quoted, columns))
    present = [f"{quoted(name)} IS NOT NULL" for name in columns] + ([f"({condition})"] if condition else [])
    return (
        f"WITH present AS (SELECT * FROM ({{rows}}) WHERE {' AND '.join(present)}), "  # noqa: S608 (names are quoted)
        f"shared AS (SELECT {names} FROM present GROUP BY {names} HAVING count(*) > 1) "
        f"SELECT present.row FROM present SEMI JOIN shared USING ({names})"
    )
