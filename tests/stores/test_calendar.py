"""The calendar of a grid equals distances counted day by day, from no more history than is kept."""

from __future__ import annotations

import datetime as dt

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.stores.calendar import (
    LONG_CLOSURE,
    MAX_CLOSURE_LENGTH,
    MAX_DISTANCE,
    NO_COLUMN,
    Calendar,
    Plan,
    limit_look_ahead,
)

AS_OF, DAYS = np.datetime64("2024-03-18"), 130
seeds = st.integers(0, 2**32 - 1)


def plan(seed: int, *, stores: int = 3, first: int = -100) -> Plan:
    """Random days with closures of some length, and days without a row."""
    rng = np.random.default_rng(seed)
    shape = (stores, DAYS)
    closures = np.repeat(rng.random((stores, DAYS // 5)) < 0.2, 5, axis=1)
    known = rng.random(shape) > 0.1
    promo, school, holiday = (known & (rng.random(shape) < share) for share in (0.4, 0.02, 0.05))
    is_open = known & ~closures & (rng.random(shape) > 0.1)
    return Plan(AS_OF, first, known, is_open, promo, school, (holiday * 2).astype(np.int8))


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_distances_equal_those_counted_day_by_day(seed: int) -> None:
    days = plan(seed)
    found = Calendar.from_plan(days).distances
    for store, day in zip(*np.nonzero(days.open), strict=True):
        promo, known = days.promo[store], days.known[store]
        closed = known & ~days.open[store]

        def behind(flags: np.ndarray, day: int = day) -> int:
            return min(next((k for k in range(day + 1) if flags[day - k]), MAX_DISTANCE), MAX_DISTANCE)

        def ahead(flags: np.ndarray, day: int = day) -> int:
            return min(next((k for k in range(DAYS - day) if flags[day + k]), MAX_DISTANCE), MAX_DISTANCE)

        assert found["promo_since"][store, day] == behind(promo)
        assert found["promo_day"][store, day] == behind(known & ~promo)
        assert found["promo_until"][store, day] == ahead(promo)
        assert found["promo_ends"][store, day] == ahead(known & ~promo)
        assert found["holiday_until"][store, day] == ahead(days.holiday[store] > 0)
        assert found["school_since"][store, day] == behind(days.school[store])
        assert found["open_days"][store, day] == behind(closed)
        assert found["open_week"][store, day] == days.open[store, max(0, day - 6) : day + 1].sum()


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_closures_equal_those_counted_day_by_day(seed: int) -> None:
    days = plan(seed)
    found = Calendar.from_plan(days).distances
    for store in range(len(days.known)):
        opened = np.flatnonzero(days.open[store])
        closed = days.known[store] & ~days.open[store]
        # Closed days between each open day and the next; those after the last are ahead of it.
        ends = [*opened[1:], DAYS]
        lengths = [int(closed[day:end].sum()) for day, end in zip(opened, ends, strict=True)]
        for k, day in enumerate(opened):
            later = next((j for j in range(k, len(opened)) if lengths[j] >= LONG_CLOSURE), None)
            assert found["closing"][store, day] == (MAX_DISTANCE if later is None else min(later - k + 1, MAX_DISTANCE))
            assert found["closing_length"][store, day] == (0 if later is None else lengths[later])
            start = NO_COLUMN if later is None else opened[later] + 1 + days.first
            assert found["closing_start"][store, day] == start
            earlier = next((j for j in range(k - 1, -1, -1) if lengths[j] >= LONG_CLOSURE), None)
            assert found["reopened"][store, day] == (
                MAX_DISTANCE if earlier is None else min(k - earlier, MAX_DISTANCE)
            )
            assert found["reopened_length"][store, day] == (
                0 if earlier is None or k - earlier >= MAX_DISTANCE else min(lengths[earlier], MAX_DISTANCE)
            )


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_the_kept_history_is_enough_for_the_days_to_forecast(seed: int) -> None:
    days = plan(seed)
    ahead = np.nonzero(days.open & (np.arange(DAYS) + days.first >= 0))
    store, t = ahead[0], ahead[1] + days.first
    whole, kept = (
        Calendar.from_plan(days).rows(store, t),
        Calendar.from_plan(days.drop_unneeded_history()).rows(store, t),
    )
    for name, values in whole.items():
        np.testing.assert_array_equal(kept[name], values, err_msg=name)


def test_no_more_history_is_kept_than_needed() -> None:
    always = np.ones((1, 942), bool)
    days = Plan(AS_OF, -900, always, always, ~always, ~always, np.zeros((1, 942), np.int8))
    assert days.drop_unneeded_history().first == -MAX_DISTANCE - 1


def test_dates_are_those_of_the_calendar() -> None:
    always = np.ones((1, 900), bool)
    dates = Calendar.from_plan(Plan(AS_OF, -800, always, always, always, always, np.zeros((1, 900), np.int8))).dates
    days = [AS_OF.astype(dt.date) + dt.timedelta(days=t - 800) for t in range(900)]
    assert dates["weekday"].tolist() == [day.weekday() for day in days]
    assert dates["week"].tolist() == [day.isocalendar().week for day in days]
    assert dates["day_of_month"].tolist() == [day.day for day in days]
    assert dates["day_of_year"].tolist() == [day.timetuple().tm_yday for day in days]
    leap, easter = days.index(dt.date(2024, 2, 28)), days.index(dt.date(2023, 4, 9))
    assert dates["days_to_month_end"][leap] == 1
    assert dates["easter_days"][easter - 2 : easter + 1].tolist() == [-2, -1, 0]
    assert dates["christmas_days"][days.index(dt.date(2023, 12, 24))] == -1


def test_a_coming_closure_is_seen_once_enough_of_it_lies_within_the_horizon() -> None:
    """Of a closure of twenty days only those before the end of the horizon are known: fewer than four are none."""
    always = np.ones((1, 60), bool)
    is_open = always.copy()
    is_open[0, 20:40] = False
    plan = Plan(AS_OF, 0, always, is_open, ~always, ~always, np.zeros((1, 60), np.int8))
    last_day = Calendar.from_plan(plan).rows(np.array([0]), np.array([19]))
    for horizon, closing, length in ((23, MAX_DISTANCE, 0), (24, 1, 4), (30, 1, 10), (60, 1, MAX_CLOSURE_LENGTH)):
        seen = limit_look_ahead(last_day, 0, horizon)
        assert (seen["closing"][0], seen["closing_length"][0]) == (closing, length), f"horizon of {horizon} days"
    # The first closed day is a Sunday, on which most stores are closed; the next unusual closed day is two days ahead.
    assert limit_look_ahead(last_day, 0, 21)["closed_until"][0] == MAX_DISTANCE
    assert limit_look_ahead(last_day, 0, 22)["closed_until"][0] == 2
