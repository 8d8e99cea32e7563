"""The level of the recent days: what an expectation's figure was on the days before a delivery.

A suite refers to it as `{"$PARAMETER": "recent_level", "times": 5}`, in an expectation on a median, a mean, a sum or a
share of values that are not missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median
from typing import Any

from pipeline.contracts.contract import Contract
from pipeline.errors import UsageError
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.figures import figure_sql
from pipeline.ingestion.staging import Stage
from pipeline.ingestion.suites import RECENT_LEVEL, Suite, positions_with
from pipeline.lake.partitions import between
from pipeline.lake.sql import scan
from pipeline.lake.tables import Lake

RECENT_DAYS = 28
MIN_RECENT_DAYS = 7
SUM = "expect_column_sum_to_be_between"
WITH_LEVEL = (
    SUM,
    "expect_column_mean_to_be_between",
    "expect_column_median_to_be_between",
    "expect_column_proportion_of_non_null_values_to_be_between",
)
"""The types of expectations that can refer to a recent level."""


def recent_rows(lake: Lake, delivery: Delivery) -> float | None:
    """Return the median number of rows of the days before a delivery of one day; None while too few are known."""
    if delivery.first is None or delivery.until != delivery.first + timedelta(days=1):
        return None
    return _median(list(_recent_counts(lake, delivery.table, delivery.first).values()))


def recent_levels(
    stage: Stage,
    lake: Lake,
    delivery: Delivery,
    contract: Contract,
    suite: Suite,
    days: tuple[date | None, date | None],
) -> dict[int, float]:
    """Compute the recent level for each expectation that refers to it: the median of the figures of the recent days.

    The recent days are the 28 days before the delivery's first day, as far as the clean table has rows of them. The
    delivery's own rows do not count.

    Args:
        stage: the delivery's rows, whose engine is used.
        lake: where the clean table is.
        delivery: the delivery.
        contract: the contract of its table.
        suite: the suite of its table.
        days: the first and the last day that it is for, if it is for any.

    Returns:
        The levels above zero by position in the suite. A level is missing where fewer than 7 recent days have a figure,
        and the level of a sum also where the delivery is for several days.

    Raises:
        UsageError: if an expectation refers to the recent level of a figure that is not supported.
    """
    wanted = {position: suite.expectations[position] for position in positions_with(suite.expectations, RECENT_LEVEL)}
    for expectation in wanted.values():
        if expectation["type"] not in WITH_LEVEL:
            raise UsageError(
                "This expectation has no recent level",
                where=str(suite.file),
                observed=expectation["type"],
                allowed=", ".join(WITH_LEVEL),
            )
    first, last = days
    if first != last:
        wanted = {n: expectation for n, expectation in wanted.items() if expectation["type"] != SUM}
    # The rows of a correction are not typical: they were in quarantine before.
    if not wanted or first is None or delivery.corrects:
        return {}
    if len(_recent_counts(lake, delivery.table, first)) < MIN_RECENT_DAYS:
        return {}
    by_day = _figures_by_day(stage, lake, delivery, contract, wanted, first)
    levels = {n: _median([value for value in by_day[f"figure_{n}"] if value is not None]) for n in wanted}
    return {n: level for n, level in levels.items() if level is not None and level > 0}


def _recent_counts(lake: Lake, table: str, first: date) -> dict[str, int]:
    """Count the rows of each of the days before a day that have rows."""
    low, high = (first - timedelta(days=RECENT_DAYS)).isoformat(), first.isoformat()
    return lake.row_counts(table, "day", keep=between("day", low, high))


def _figures_by_day(
    stage: Stage,
    lake: Lake,
    delivery: Delivery,
    contract: Contract,
    wanted: Mapping[int, Mapping[str, Any]],
    first: date,
) -> dict[str, list[float | None]]:
    """Compute the figures of each of the recent days: one list for each expectation."""
    low, high = (first - timedelta(days=RECENT_DAYS)).isoformat(), first.isoformat()
    version = lake.version(delivery.table)
    files = lake.files(delivery.table, version, between("day", low, high))
    rows = scan(files, lake.schema(delivery.table, version), ["day"])
    listed = ", ".join(
        f"{figure_sql(expectation, contract.measures)} AS figure_{n}" for n, expectation in wanted.items()
    )
    query = f"SELECT day, {listed} FROM ({rows}) WHERE delivery <> ? GROUP BY day"  # noqa: S608 (of the suite)
    columns: dict[str, list[float | None]] = stage.con.execute(query, [delivery.id]).to_arrow_table().to_pydict()
    return columns


def _median(values: list[float]) -> float | None:
    return float(median(values)) if len(values) >= MIN_RECENT_DAYS else None
