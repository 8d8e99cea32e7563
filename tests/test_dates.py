"""How days are written."""

from __future__ import annotations

from datetime import date

import pytest

from pipeline.dates import UNDATED, UNDATED_AS_OF, format_day, format_days, parse_as_of


def test_what_has_no_day_is_called_undated() -> None:
    assert format_day(UNDATED) == format_day(UNDATED_AS_OF) == "undated"
    assert format_day(date(1970, 1, 3)) == "1970-01-03"


@pytest.mark.parametrize("day", [date(2025, 1, 31), UNDATED_AS_OF])
def test_an_as_of_day_is_read_as_it_was_told(day: date) -> None:
    assert parse_as_of(format_day(day)) == day


def test_nonsense_is_no_day() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        parse_as_of("yesterday")


def test_days_in_a_row_are_written_as_one() -> None:
    days = [date(2025, 3, 6), date(2025, 3, 1), date(2025, 2, 28), date(2025, 3, 4), date(2025, 3, 5)]
    assert format_days(days) == "2025-02-28 to 2025-03-01, 2025-03-04 to 2025-03-06"
    assert format_days([]) == ""
