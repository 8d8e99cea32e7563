"""Days on which a table should have rows and has none."""

from __future__ import annotations

from datetime import date
from typing import Any

from pipeline.ingestion.missing_days import DayCoverage, day_coverage


def test_days_between_the_first_and_the_last_are_missing_unless_the_shop_is_closed(till: Any) -> None:
    """Sunday the 9th is a day on which the shop is closed."""
    for day in ("2025-03-07", "2025-03-11"):
        till.deliver(f"{day}.csv", [till.line(day=day)])
    assert day_coverage(till.settings, "transactions") == DayCoverage(
        date(2025, 3, 7), date(2025, 3, 11), (date(2025, 3, 8), date(2025, 3, 10))
    )


def test_a_range_begins_no_earlier_than_the_table_and_may_end_later(till: Any) -> None:
    till.deliver("2025-03-07.csv", [till.line(day="2025-03-07")])
    found = day_coverage(till.settings, "transactions", date(2025, 1, 1), date(2025, 3, 11))
    assert found == DayCoverage(date(2025, 3, 7), date(2025, 3, 10), (date(2025, 3, 8), date(2025, 3, 10)))
    assert day_coverage(till.settings, "transactions", until=date(2025, 3, 7)) is None


def test_nothing_is_known_to_be_missing_without_a_source_whose_files_name_their_days(till: Any) -> None:
    assert day_coverage(till.settings, "transactions") is None
    till.deliver("files/any.csv", [till.line(day=day) for day in ("2025-03-03", "2025-03-07")])
    assert day_coverage(till.settings, "transactions") is None
