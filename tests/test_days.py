"""How days are written."""

from __future__ import annotations

from datetime import date

import pytest

from pipeline.days import UNDATED, UNDATED_AS_OF, read_as_of, told


def test_what_has_no_day_is_called_undated() -> None:
    assert told(UNDATED) == told(UNDATED_AS_OF) == "undated"
    assert told(date(1970, 1, 3)) == "1970-01-03"


@pytest.mark.parametrize("day", [date(2025, 1, 31), UNDATED_AS_OF])
def test_an_as_of_day_is_read_as_it_was_told(day: date) -> None:
    assert read_as_of(told(day)) == day


def test_nonsense_is_no_day() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        read_as_of("yesterday")
