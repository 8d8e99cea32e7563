"""How days are written."""

from __future__ import annotations

from datetime import date

import pytest

from pipeline.dates import UNDATED, UNDATED_AS_OF, format_day, parse_as_of


def test_what_has_no_day_is_called_undated() -> None:
    assert format_day(UNDATED) == format_day(UNDATED_AS_OF) == "undated"
    assert format_day(date(1970, 1, 3)) == "1970-01-03"


@pytest.mark.parametrize("day", [date(2025, 1, 31), UNDATED_AS_OF])
def test_an_as_of_day_is_read_as_it_was_told(day: date) -> None:
    assert parse_as_of(format_day(day)) == day


def test_nonsense_is_no_day() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        parse_as_of("yesterday")
