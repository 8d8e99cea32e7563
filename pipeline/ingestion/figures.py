"""The figures that expectations on a delivery as a whole are about, such as the median of a column, by the engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline.ingestion.row_conditions import is_simple
from pipeline.ingestion.rows import Numbers
from pipeline.ingestion.staging import Stage
from pipeline.lake.sql import quoted

EARLIEST, LATEST = datetime(1678, 1, 1), datetime(2262, 1, 1)
"""The range of nanosecond timestamps; times beyond it are validated as the nearest of the two."""
COLUMNS = "table.columns"
"""Great Expectations' name of the list of columns."""
MEDIAN = "expect_column_median_to_be_between"
FIGURES: Mapping[str, tuple[str, str]] = {
    "expect_table_row_count_to_be_between": ("table.row_count", "count(*) {rows}"),
    "expect_column_min_to_be_between": ("column.min", "min({column}) {rows}"),
    "expect_column_max_to_be_between": ("column.max", "max({column}) {rows}"),
    "expect_column_sum_to_be_between": ("column.sum", "CAST(sum({column}) {rows} AS DOUBLE)"),
    "expect_column_mean_to_be_between": ("column.mean", "avg({column}) {rows}"),
    MEDIAN: ("column.median", "median({column}) {rows}"),
    "expect_column_proportion_of_non_null_values_to_be_between": (
        "column.non_null_proportion",
        "count({column}) {rows} / nullif(count(*) {rows}, 0)",
    ),
}
"""Type of an expectation -> the figure that decides it, by Great Expectations' name, and in SQL."""
MAX_IN_MEMORY = 1_000_000
"""How many values a median may keep in memory."""
OF_TIMES = ("column.min", "column.max")
OF_ANYTHING = ("table.row_count", "column.non_null_proportion")


def figure_sql(expectation: Mapping[str, Any], measures: Mapping[str, str], days: Collection[str] = frozenset()) -> str:
    """Return the figure of an expectation on the rows that it is about, as SQL.

    A row condition in the form of pandas, such as `open == True and sales > 0`, is also SQL.

    Args:
        expectation: the expectation.
        measures: computed columns: name -> arithmetic on other columns.
        days: the columns of days, which expectations see as times.
    """
    condition = expectation["kwargs"].get("row_condition")
    return FIGURES[expectation["type"]][1].format(
        column=_column_sql(expectation, measures, days), rows=f"FILTER (WHERE {condition})" if condition else ""
    )


def _column_sql(expectation: Mapping[str, Any], measures: Mapping[str, str], days: Collection[str]) -> str:
    name = str(expectation["kwargs"].get("column", ""))
    return f"CAST({quoted(name)} AS TIMESTAMP)" if name in days else measures.get(name, quoted(name))


def figures(
    stage: Stage, expectations: Mapping[int, Mapping[str, Any]], measures: Mapping[str, str], without: Numbers
) -> dict[int, dict[str, Any]]:
    """Compute the figures of expectations on a delivery.

    Args:
        stage: the delivery's rows.
        expectations: by position in the suite.
        measures: computed columns: name -> arithmetic on other columns.
        without: the numbers of the rows that do not count.

    Returns:
        By position, the figure by Great Expectations' name; nothing for an expectation that is not covered.
    """
    schema = stage.schema
    found: dict[int, dict[str, Any]] = {}
    wanted = {}
    for position, expectation in expectations.items():
        if expectation["type"] == "expect_table_columns_to_match_set":
            maps = {field.name for field in schema if pa.types.is_map(field.type)}
            found[position] = {COLUMNS: [*(name for name in schema.names if name not in maps), *measures]}
        elif _is_covered(expectation, schema, measures):
            wanted[position] = expectation
    if wanted:
        days = {field.name for field in schema if pa.types.is_date(field.type)}
        rows = stage.relation(without)
        few = stage.rows <= MAX_IN_MEMORY
        at_once = {n: figure_sql(e, measures, days) for n, e in wanted.items() if few or e["type"] != MEDIAN}
        values = _at_once(stage, rows, at_once)
        for position, expectation in wanted.items():
            name = FIGURES[expectation["type"]][0]
            column = expectation["kwargs"].get("column")
            of_times = column in schema.names and pa.types.is_temporal(schema.field(column).type)
            if position not in values:
                condition = expectation["kwargs"].get("row_condition")
                values[position] = _median(stage, rows, _column_sql(expectation, measures, days), condition)
            found[position] = {name: _as_in_pandas(name, values[position], of_times)}
    return found


def _at_once(stage: Stage, rows: str, figures_sql: Mapping[int, str]) -> dict[int, Any]:
    """Compute figures in one pass over the rows."""
    if not figures_sql:
        return {}
    listed = ", ".join(f"{figure} AS figure_{position}" for position, figure in figures_sql.items())
    row = stage.one(f"SELECT {listed} FROM ({rows})")  # noqa: S608 (of the suite)
    return {position: row[f"figure_{position}"] for position in figures_sql}


def _median(stage: Stage, rows: str, column: str, condition: str | None) -> float | None:
    """Compute the median from the sorted values, since sorting spills to disk.

    The engine's median keeps every value, in memory that its limit does not count; here it is given at most two.
    """
    values = f"SELECT {column} AS value FROM ({rows}) WHERE {column} IS NOT NULL AND ({condition or 'true'})"  # noqa: S608
    how_many = f"(SELECT 2 - count(*) % 2 FROM ({values}))"  # noqa: S608
    before = f"(SELECT greatest(count(*) - 1, 0) // 2 FROM ({values}))"  # noqa: S608
    middle = f"SELECT value FROM ({values}) ORDER BY value LIMIT {how_many} OFFSET {before}"  # noqa: S608
    found: float | None = stage.one(f"SELECT median(value) AS value FROM ({middle})")["value"]  # noqa: S608
    return found


def _as_in_pandas(name: str, value: Any, of_times: bool) -> Any:
    """The sum of no value is zero, and times are within the range of nanoseconds."""
    if value is None and name == "column.sum":
        return 0.0
    if value is None and name in OF_TIMES and of_times:
        return pd.NaT
    return min(max(value, EARLIEST), LATEST) if isinstance(value, datetime) else value


def _is_covered(expectation: Mapping[str, Any], schema: pa.Schema, measures: Mapping[str, str]) -> bool:
    """Whether the figure is the same in SQL as in pandas."""
    kwargs = expectation["kwargs"]
    condition, name = kwargs.get("row_condition"), kwargs.get("column")
    if expectation["type"] not in FIGURES or (condition is not None and not is_simple(condition)):
        return False
    figure = FIGURES[expectation["type"]][0]
    if name is None or name in measures:
        return name is not None or figure == "table.row_count"
    if name not in schema.names:
        return False
    kind = schema.field(name).type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return is_number or figure in OF_ANYTHING or (figure in OF_TIMES and pa.types.is_temporal(kind))
