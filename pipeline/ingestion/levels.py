"""The level of the recent days: what an expectation's figure was on the days before a delivery.

A suite refers to it as `{"$PARAMETER": "recent_level", "times": 5}`, in an expectation on a median, a mean, a sum or a
share of values that are not missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import Contract
from pipeline.errors import UsageError
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.suites import RECENT_LEVEL, Suite, positions_with
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

RECENT_DAYS = 28
MIN_RECENT_DAYS = 7
SUM = "expect_column_sum_to_be_between"
FIGURES = {
    SUM: "sum({column}) {rows}",
    "expect_column_mean_to_be_between": "avg({column}) {rows}",
    "expect_column_median_to_be_between": "median({column}) {rows}",
    "expect_column_proportion_of_non_null_values_to_be_between": "count({column}) {rows} / nullif(count(*) {rows}, 0)",
}
"""The types of expectations that can refer to a recent level, and their figure in SQL."""


def recent_rows(lake: Lake, delivery: Delivery) -> float | None:
    """Return the median number of rows of the days before a delivery of one day; None while too few are known."""
    if delivery.first is None or delivery.until != delivery.first + timedelta(days=1):
        return None
    return _median(list(_recent_counts(lake, delivery.table, delivery.first).values()))


def recent_levels(
    settings: Settings, lake: Lake, delivery: Delivery, contract: Contract, suite: Suite, rows: pa.Table
) -> dict[int, float]:
    """Compute the recent level for each expectation that refers to it: the median of the figures of the recent days.

    The recent days are the 28 days before the delivery's first day, as far as the clean table has rows of them. The
    delivery's own rows do not count.

    Args:
        settings: the settings.
        lake: where the clean table is.
        delivery: the delivery.
        contract: the contract of its table.
        suite: the suite of its table.
        rows: its typed rows, which give its days where its address does not.

    Returns:
        The levels above zero by position in the suite. A level is missing where fewer than 7 recent days have a figure,
        and the level of a sum also where the delivery is for several days.

    Raises:
        UsageError: if an expectation refers to the recent level of a figure that is not supported.
    """
    wanted = {position: suite.expectations[position] for position in positions_with(suite.expectations, RECENT_LEVEL)}
    for expectation in wanted.values():
        if expectation["type"] not in FIGURES:
            raise UsageError(
                "This expectation has no recent level",
                where=str(suite.file),
                observed=expectation["type"],
                allowed=", ".join(FIGURES),
            )
    first, last = _days(delivery, rows, contract)
    if first != last:
        wanted = {n: expectation for n, expectation in wanted.items() if expectation["type"] != SUM}
    # The rows of a correction are not typical: they were in quarantine before.
    if not wanted or first is None or delivery.corrects:
        return {}
    if len(_recent_counts(lake, delivery.table, first)) < MIN_RECENT_DAYS:
        return {}
    by_day = _figures_by_day(settings, lake, delivery, contract, wanted, first)
    levels = {n: _median([value for value in by_day[f"figure_{n}"] if value is not None]) for n in wanted}
    return {n: level for n, level in levels.items() if level is not None and level > 0}


def _recent_counts(lake: Lake, table: str, first: date) -> dict[str, int]:
    """Count the rows of each of the days before a day that have rows."""
    low, high = (first - timedelta(days=RECENT_DAYS)).isoformat(), first.isoformat()
    return {day: count for day, count in lake.row_counts(table, "day").items() if low <= day < high}


def _figures_by_day(
    settings: Settings,
    lake: Lake,
    delivery: Delivery,
    contract: Contract,
    wanted: Mapping[int, Mapping[str, Any]],
    first: date,
) -> dict[str, list[float | None]]:
    """Compute the figures of each of the recent days: one list for each expectation."""
    con = engine.connect(settings)
    since, version = first - timedelta(days=RECENT_DAYS), lake.version(delivery.table)
    table = engine.table(con, lake, delivery.table, version, since=since, until=first)
    others = table.filter(table.delivery != delivery.id).alias("recent")
    figures = ", ".join(f"{_sql(expectation, contract)} AS figure_{n}" for n, expectation in wanted.items())
    found = con.to_pyarrow(others.sql(f"SELECT day, {figures} FROM recent GROUP BY day"))  # noqa: S608 (of the suite)
    columns: dict[str, list[float | None]] = found.to_pydict()
    return columns


def _sql(expectation: Mapping[str, Any], contract: Contract) -> str:
    """Return the figure of an expectation on the rows that it is about, as SQL.

    A row condition in the form of pandas, such as `open == True and sales > 0`, is also SQL.
    """
    kwargs = expectation["kwargs"]
    column = contract.measures.get(kwargs["column"], f'"{kwargs["column"]}"')
    condition = kwargs.get("row_condition")
    return FIGURES[expectation["type"]].format(column=column, rows=f"FILTER (WHERE {condition})" if condition else "")


def _days(delivery: Delivery, rows: pa.Table, contract: Contract) -> tuple[date | None, date | None]:
    """Return the first and the last day that a delivery is for: by its address, else by its rows."""
    if delivery.first is not None and delivery.until is not None:
        return delivery.first, delivery.until - timedelta(days=1)
    if contract.event_time is None:
        return None, None
    days = pc.min_max(rows[contract.event_time].cast(pa.date32())).as_py()
    return days["min"], days["max"]


def _median(values: list[float]) -> float | None:
    return float(median(values)) if len(values) >= MIN_RECENT_DAYS else None
