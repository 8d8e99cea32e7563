"""The warnings of a delivery are on record as long as its rows are."""

from __future__ import annotations

from datetime import date
from typing import Any

from pipeline.ingestion.delivery_warnings import WARNINGS_TABLE, warnings_between

DAY, NEXT = date(2025, 3, 3), date(2025, 3, 4)


def test_warnings_are_recorded_with_the_days_of_the_rows_until_the_delivery_is_replaced(till: Any) -> None:
    unusual = [till.line(n, f"TEC-{n}", day=f"2025-03-0{3 + n % 2}") for n in range(30)]
    till.deliver("2025-03-03.csv", unusual)
    (found,) = warnings_between(till.lake, "transactions", DAY, NEXT)
    assert (found.delivery, found.first_day, found.last_day) == ("till--2025-03-03.csv", DAY, NEXT)
    assert "only 0 of 30 lines are merchandise" in found.reasons[0]
    assert warnings_between(till.lake, "transactions", date(2025, 3, 5), date(2025, 3, 9)) == []
    till.deliver("2025-03-03.csv", [till.line()])
    assert warnings_between(till.lake, "transactions", DAY, NEXT) == []


def test_a_home_whose_deliveries_have_no_warnings_has_no_table_of_them(till: Any) -> None:
    till.deliver("2025-03-03.csv", [till.line()])
    assert not till.lake.exists(WARNINGS_TABLE)
    assert warnings_between(till.lake, "transactions", DAY, NEXT) == []
