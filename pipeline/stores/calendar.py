"""Describe a store's day by what is known in advance: dates, promotions, holidays and planned closures.

No sales or customer counts are read, so past days and days to forecast are described alike. Everything is computed on
grids of stores x days with array operations, whose cost hardly depends on the number of stores. Distances are in days
and are capped at `MAX_DISTANCE`. Distances that look ahead (`LOOK_AHEAD_COLUMNS`) use the whole plan;
`limit_look_ahead` cuts them to what a forecast made on an earlier day could have known.

Throughout the domain `t` is a day counted from the as-of day: 0 is the first day to forecast, history is negative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from dateutil.easter import easter  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int32]
    Bools = NDArray[np.bool_]
    Columns = dict[str, NDArray[Any]]

MAX_DISTANCE = 60
"""Days at which distances are capped: an event further away has no effect on sales."""
LONG_CLOSURE = 4
"""Closed days in a row that make a long closure: no weekend or holiday explains it, and sales around it change."""
MAX_CLOSURE_LENGTH = 14
"""Days at which the length of a coming closure is capped."""
LOOK_AHEAD_COLUMNS = ("promo_until", "promo_ends", "holiday_until", "school_until", "school_ends", "closed_until")
UNKNOWN = "unknown"
"""The category of a store whose attribute is not known."""
NO_COLUMN = 1_000_000
"""Sentinel: a grid column after the last one, that of an event that does not occur; negative, before the first."""
THURSDAY, SUNDAY = 3, 6
HOLIDAY_CODES = {"none": 0, "public": 1, "easter": 2, "christmas": 3}
CATEGORICAL_COLUMNS = ("store_type", "assortment", "state")
"""The feature columns that hold text; all others are numbers."""

DATE_COLUMNS = ("weekday", "day_of_month", "days_to_month_end", "week", "day_of_year", "easter_days", "christmas_days")
DISTANCE_COLUMNS = (
    "promo",
    "promo_day",
    "promo_since",
    "promo_until",
    "promo_ends",
    "holiday",
    "holiday_since",
    "holiday_until",
    "school",
    "school_day",
    "school_since",
    "school_until",
    "school_ends",
    "open_days",
    "closed_since",
    "closed_until",
    "open_week",
    "reopened",
    "reopened_length",
    "closing",
    "closing_length",
)
STORE_COLUMNS = ("promo2_weeks", "promo2_month", "competition_months", "competition_distance")
CALENDAR_COLUMNS: tuple[str, ...] = (*DATE_COLUMNS, *DISTANCE_COLUMNS, *STORE_COLUMNS, *CATEGORICAL_COLUMNS)
PLAN_GRIDS = ("known", "open", "promo", "school", "holiday")
"""The fields of a `Plan` that are grids."""


@dataclass(frozen=True)
class Plan:
    """Stores x days as planned, or as recorded. Grids are (S, T), with False or 0 where nothing is known.

    Attributes:
        as_of: the first day to forecast, the day with t = 0.
        first: the t of the first column.
        known: whether the day has a row. A day without a row is unknown; it does not count as closed.
        open: whether the store is open.
        promo: whether the store has a promotion.
        school: whether the day is a school holiday.
        holiday: the state holiday, a value of `HOLIDAY_CODES` (int8).
    """

    as_of: np.datetime64
    first: int
    known: Bools
    open: Bools
    promo: Bools
    school: Bools
    holiday: NDArray[np.int8]

    def select_stores(self, stores: NDArray[np.int64]) -> Plan:
        """Return a copy with the rows of some stores, given by their row indices."""
        return replace(self, **{name: getattr(self, name)[stores] for name in PLAN_GRIDS})

    def start_at(self, first: int) -> Plan:
        """Return the days from `first` (a t) on."""
        skipped = first - self.first
        return replace(self, first=first, **{name: getattr(self, name)[:, skipped:] for name in PLAN_GRIDS})

    def drop_unneeded_history(self) -> Plan:
        """Drop the days before as_of that are too far back to affect the description of a day from as_of on."""
        past = self.open[:, : -self.first]
        open_days_since = past[:, ::-1].cumsum(1)[:, ::-1]  # open days from each day to as_of
        # One open day more than distances count, and all closed days before it, so that no closure is cut in two.
        needed = self.known[:, : -self.first] & (open_days_since <= MAX_DISTANCE + 1)
        days = np.flatnonzero(needed.any(0))
        return self.start_at(min(self.first + int(days[0]) if len(days) else 0, 0))


@dataclass(frozen=True)
class Calendar:
    """The calendar columns of every day of a plan; the values of closed days have no meaning.

    Attributes:
        first: the t of the first column, see `Plan`.
        dates: `DATE_COLUMNS`, (T,) each.
        distances: `DISTANCE_COLUMNS` and `closing_start` (the t at which the next long closure starts), (S, T) each.
    """

    first: int
    dates: Columns
    distances: Columns

    @classmethod
    def from_plan(cls, plan: Plan) -> Calendar:
        """Compute the columns of every day of a plan."""
        t = np.arange(plan.known.shape[1], dtype=np.int32) + plan.first
        dates = _dates(plan.as_of + t)
        return cls(plan.first, dates, _distances(plan, dates["weekday"]) | _closures(plan))

    def rows(self, store: NDArray[np.int64], t: NDArray[np.int64]) -> Columns:
        """Return the columns of n days, and their t: (n,) each.

        Args:
            store: index of each day's store in the plan.
            t: the days.
        """
        column = t - self.first
        dates = {name: values[column] for name, values in self.dates.items()}
        return dates | {name: values[store, column] for name, values in self.distances.items()} | {"t": t}


def limit_look_ahead(days: Columns, origin: int, horizon: int) -> Columns:
    """Hide what a forecast made on `origin` cannot know: events after the last day of its horizon.

    Args:
        days: columns of `Calendar.rows`.
        origin: the t on which the forecast is made.
        horizon: days that it covers.

    Returns:
        The columns, with distances to hidden events at `MAX_DISTANCE` and lengths of closures cut.
    """
    end = origin + horizon  # exclusive
    limited = {name: np.where(days["t"] + days[name] >= end, MAX_DISTANCE, days[name]) for name in LOOK_AHEAD_COLUMNS}
    length = np.minimum(days["closing_length"], end - days["closing_start"])
    visible = (days["closing"] < MAX_DISTANCE) & (length >= LONG_CLOSURE)
    limited["closing"] = np.where(visible, days["closing"], MAX_DISTANCE)
    limited["closing_length"] = np.where(visible, np.minimum(length, MAX_CLOSURE_LENGTH), 0)
    return {**days, **limited}


def _dates(days: NDArray[np.datetime64]) -> Columns:
    months, years = days.astype("datetime64[M]"), days.astype("datetime64[Y]")
    weekday = (days.astype(int) + THURSDAY) % 7  # 1970 began on a Thursday
    thursday = days - weekday + THURSDAY  # its year is that of the ISO week
    distinct_years, year_index = np.unique(years, return_inverse=True)
    easters = np.array([easter(year) for year in distinct_years.astype(int) + 1970], "datetime64[D]")
    columns = {
        "weekday": weekday,
        "day_of_month": days - months + 1,
        "days_to_month_end": (months + 1).astype("datetime64[D]") - days - 1,
        "week": (thursday - thursday.astype("datetime64[Y]")).astype(int) // 7 + 1,
        "day_of_year": days - years + 1,
        "easter_days": days - easters[year_index],
        "christmas_days": days - (years.astype("datetime64[M]") + 11).astype("datetime64[D]") - 24,
    }
    return {name: values.astype(np.int32) for name, values in columns.items()}


def _distances(plan: Plan, weekday: NDArray[Any]) -> Columns:
    known, promo, school, holiday = plan.known, plan.promo, plan.school, plan.holiday > 0
    closed = known & ~plan.open
    unusual_closed = closed & (weekday != SUNDAY)  # most stores are closed on Sundays, so that carries no information
    open_so_far = plan.open.cumsum(1, dtype=np.int32)
    open_a_week_ago = np.pad(open_so_far, ((0, 0), (7, 0)))[:, :-7]
    return {
        "promo": promo,
        "promo_day": _days_since(known & ~promo),
        "promo_since": _days_since(promo),
        "promo_until": _days_until(promo),
        "promo_ends": _days_until(known & ~promo),
        "holiday": plan.holiday,
        "holiday_since": _days_since(holiday),
        "holiday_until": _days_until(holiday),
        "school": school,
        "school_day": _days_since(known & ~school),
        "school_since": _days_since(school),
        "school_until": _days_until(school),
        "school_ends": _days_until(known & ~school),
        "open_days": _days_since(closed),
        "closed_since": _days_since(unusual_closed),
        "closed_until": _days_until(unusual_closed),
        "open_week": open_so_far - open_a_week_ago,
    }


def _closures(plan: Plan) -> Columns:
    """Return the distance, in open days, to the last and to the next long closure, and their lengths.

    `closing_start` (a t) and the uncut `closing_length` are there for `limit_look_ahead`.
    """
    is_open = plan.open
    open_so_far = is_open.cumsum(1, dtype=np.int32)
    closed_so_far = (plan.known & ~is_open).cumsum(1, dtype=np.int32)
    # Closed rows right before and right after each open day; a day without a row is not counted.
    previous_open = np.pad(_last_flag(is_open), ((0, 0), (1, 0)), constant_values=-NO_COLUMN)[:, :-1]
    next_open = np.pad(_next_flag(is_open), ((0, 0), (0, 1)), constant_values=NO_COLUMN)[:, 1:]
    closed_before = np.where(previous_open >= 0, closed_so_far - _take(closed_so_far, previous_open), 0)
    closed_after = (
        np.where(next_open < NO_COLUMN, _take(closed_so_far, next_open), closed_so_far[:, -1:]) - closed_so_far
    )
    reopening = _last_flag(is_open & (closed_before >= LONG_CLOSURE))
    last_day = _next_flag(is_open & (closed_after >= LONG_CLOSURE))
    reopened = np.where(
        reopening >= 0, np.minimum(open_so_far - _take(open_so_far, reopening) + 1, MAX_DISTANCE), MAX_DISTANCE
    )
    closes = last_day < NO_COLUMN
    return {
        "reopened": reopened,
        "reopened_length": np.where(
            reopened < MAX_DISTANCE, np.minimum(_take(closed_before, reopening), MAX_DISTANCE), 0
        ),
        "closing": np.where(
            closes, np.minimum(_take(open_so_far, last_day) - open_so_far + 1, MAX_DISTANCE), MAX_DISTANCE
        ),
        "closing_length": np.where(closes, _take(closed_after, last_day), 0),
        "closing_start": np.where(closes, last_day + plan.first + 1, NO_COLUMN),
    }


def _last_flag(flags: Bools) -> Ints:
    """Return the column of the last flag up to each day, -NO_COLUMN if there is none: (S, T)."""
    columns = np.arange(flags.shape[1], dtype=np.int32)
    return np.maximum.accumulate(np.where(flags, columns, np.int32(-NO_COLUMN)), axis=1)


def _next_flag(flags: Bools) -> Ints:
    """Return the column of the first flag from each day on, NO_COLUMN if there is none: (S, T)."""
    columns = np.arange(flags.shape[1], dtype=np.int32)
    found: Ints = np.minimum.accumulate(np.where(flags, columns, np.int32(NO_COLUMN))[:, ::-1], axis=1)[:, ::-1]
    return found


def _days_since(flags: Bools) -> Ints:
    distance: Ints = np.minimum(np.arange(flags.shape[1], dtype=np.int32) - _last_flag(flags), np.int32(MAX_DISTANCE))
    return distance


def _days_until(flags: Bools) -> Ints:
    distance: Ints = np.minimum(_next_flag(flags) - np.arange(flags.shape[1], dtype=np.int32), np.int32(MAX_DISTANCE))
    return distance


def _take(values: Ints, columns: Ints) -> NDArray[Any]:
    """Return the values at columns of the same row; where the column lies outside, the result has no meaning."""
    return np.take_along_axis(values, np.clip(columns, 0, values.shape[1] - 1), axis=1)
