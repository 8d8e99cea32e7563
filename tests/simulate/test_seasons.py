"""The calendar of the simulated shop."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulate.seasons import is_open, next_open, weight

CLOSED = st.sets(st.integers(0, 6), max_size=6).map(lambda days: tuple(sorted(days)))


@pytest.mark.parametrize("closed", [(), (5,), (5, 6), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("year", [2024, 2025])
def test_mean_demand_of_a_year_is_one(closed: tuple[int, ...], year: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=d) for d in range(365)]
    assert sum(weight(day, closed) for day in days) / 365 == pytest.approx(1, abs=0.06)


@given(day=st.dates(date(2000, 1, 1), date(2100, 1, 1)), closed=CLOSED)
def test_demand_is_zero_exactly_when_the_shop_is_closed(day: date, closed: tuple[int, ...]) -> None:
    assert (weight(day, closed) == 0) == (not is_open(day, closed))
    assert next_open(day, closed) >= day
    assert is_open(next_open(day, closed), closed)


def test_autumn_is_the_season_and_christmas_is_quiet() -> None:
    assert weight(date(2025, 11, 18), (5,)) > 2 * weight(date(2025, 2, 18), (5,))
    assert not is_open(date(2025, 12, 25), ())
