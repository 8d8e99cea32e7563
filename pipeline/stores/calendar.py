"""Describe a store's day by what is known in advance: dates, promotions, holidays and planned closures.

No sales or customer counts are read, so past days and days to forecast are described alike. Everything is computed on
grids of stores x days with array operations, whose cost hardly depends on the number of stores. Distances are in days
and are capped at `MAX_DISTANCE`. Distances that look ahead (`LOOK_AHEAD_COLUMNS`) use the whole plan;
`limit_look_ahead` cuts them to what a forecast made on an earlier day could have known.
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

MAX_DISTANCE = 60  # days; further away is as good as never
LONG_CLOSURE = 4  # closed days in a row that no holiday explains: longer is a closure with effects of its own
MAX_CLOSURE_LENGTH = 14  # what is told apart of a closure's length ahead
LOOK_AHEAD_COLUMNS = ("promo_until", "promo_ends", "holiday_until", "school_until", "school_ends", "closed_until")
UNKNOWN = "unknown"
NEVER = 1_000_000  # a day that never comes
THURSDAY, SUNDAY = 3, 6
HOLIDAY_CODES = {"none": 0, "public": 1, "easter": 2, "christmas": 3}
CATEGORICAL_COLUMNS = ("store_type", "assortment", "state")  # the columns that are str; the others are numbers

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


@dataclass(frozen=True)
class Plan:
    """Stores x days as planned, or as they were: (S, T) each, False or 0 where nothing is known.

    Attributes:
        as_of: the first day to forecast; `t` counts days from it, so history is negative.
        first: the t of the first column.
        known: whether the day has a row; one without is unknown, which is not closed.
        holiday: a number of `HOLIDAY_CODES` (int8).
    """

    as_of: np.datetime64
    first: int
    known: Bools
    open: Bools
    promo: Bools
    school: Bools
    holiday: NDArray[np.int8]

    def of(self, stores: NDArray[np.int64]) -> Plan:
        """A copy of some stores' rows, by their places."""
        return replace(self, **{name: getattr(self, name)[stores] for name in PLAN_GRIDS})

    def since(self, first: int) -> Plan:
        """Only the days from a t on."""
        skipped = first - self.first
        return replace(self, first=first, **{name: getattr(self, name)[:, skipped:] for name in PLAN_GRIDS})

    def enough(self) -> Plan:
        """Drop the days before as_of that are too far back to affect the description of a day from as_of on."""
        past = self.open[:, : -self.first]
        still_open = past[:, ::-1].cumsum(1)[:, ::-1]  # open days from each day on
        # One open day more than are counted, and all the closed days before it, so that no closure is cut.
        needed = self.known[:, : -self.first] & (still_open <= MAX_DISTANCE + 1)
        days = np.flatnonzero(needed.any(0))
        return self.since(min(self.first + int(days[0]) if len(days) else 0, 0))


PLAN_GRIDS = ("known", "open", "promo", "school", "holiday")


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
    def of(cls, plan: Plan) -> Calendar:
        """Describe every day of a plan."""
        t = np.arange(plan.known.shape[1], dtype=np.int32) + plan.first
        dates = _dates(plan.as_of + t)
        return cls(plan.first, dates, _distances(plan, dates["weekday"]) | _closures(plan))

    def rows(self, store: NDArray[np.int64], t: NDArray[np.int64]) -> Columns:
        """The columns of some days, by the places of their stores and their t, and t itself."""
        at = t - self.first
        dates = {name: values[at] for name, values in self.dates.items()}
        return dates | {name: values[store, at] for name, values in self.distances.items()} | {"t": t}


def limit_look_ahead(days: Columns, origin: int, horizon: int) -> Columns:
    """Rows of a calendar with their look ahead cut at the last day that a forecast made on `origin` (a t) knows of."""
    last = origin + horizon  # exclusive
    seen = {name: np.where(days["t"] + days[name] >= last, MAX_DISTANCE, days[name]) for name in LOOK_AHEAD_COLUMNS}
    length = np.minimum(days["closing_length"], last - days["closing_start"])
    visible = (days["closing"] < MAX_DISTANCE) & (length >= LONG_CLOSURE)
    seen["closing"] = np.where(visible, days["closing"], MAX_DISTANCE)
    seen["closing_length"] = np.where(visible, np.minimum(length, MAX_CLOSURE_LENGTH), 0)
    return {**days, **seen}


def _dates(days: NDArray[np.datetime64]) -> Columns:
    months, years = days.astype("datetime64[M]"), days.astype("datetime64[Y]")
    weekday = (days.astype(int) + THURSDAY) % 7  # 1970 began on a Thursday
    thursday = days - weekday + THURSDAY  # its year is that of the ISO week
    found, of_day = np.unique(years, return_inverse=True)
    easters = np.array([easter(year) for year in found.astype(int) + 1970], "datetime64[D]")
    columns = {
        "weekday": weekday,
        "day_of_month": days - months + 1,
        "days_to_month_end": (months + 1).astype("datetime64[D]") - days - 1,
        "week": (thursday - thursday.astype("datetime64[Y]")).astype(int) // 7 + 1,
        "day_of_year": days - years + 1,
        "easter_days": days - easters[of_day],
        "christmas_days": days - (years.astype("datetime64[M]") + 11).astype("datetime64[D]") - 24,
    }
    return {name: values.astype(np.int32) for name, values in columns.items()}


def _distances(plan: Plan, weekday: NDArray[Any]) -> Columns:
    known, promo, school, holiday = plan.known, plan.promo, plan.school, plan.holiday > 0
    closed = known & ~plan.open
    odd = closed & (weekday != SUNDAY)  # a Sunday's closing tells nothing
    opened = plan.open.cumsum(1, dtype=np.int32)
    week_ago = np.pad(opened, ((0, 0), (7, 0)))[:, :-7]
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
        "closed_since": _days_since(odd),
        "closed_until": _days_until(odd),
        "open_week": opened - week_ago,
    }


def _closures(plan: Plan) -> Columns:
    """The closure behind each open day and the one ahead, counted in open days.

    `closing_start` (a t) and the whole `closing_length` go along for `limit_look_ahead` to cut.
    """
    is_open = plan.open
    nth = is_open.cumsum(1, dtype=np.int32)
    closed = (plan.known & ~is_open).cumsum(1, dtype=np.int32)
    # Closed rows right before and right after each open day; a day without a row is not among them.
    before = np.pad(_last_flag(is_open), ((0, 0), (1, 0)), constant_values=-NEVER)[:, :-1]
    after = np.pad(_next_flag(is_open), ((0, 0), (0, 1)), constant_values=NEVER)[:, 1:]
    shut = np.where(before >= 0, closed - _take(closed, before), 0)
    shuts = np.where(after < NEVER, _take(closed, after), closed[:, -1:]) - closed
    last, following = _last_flag(is_open & (shut >= LONG_CLOSURE)), _next_flag(is_open & (shuts >= LONG_CLOSURE))
    reopened = np.where(last >= 0, np.minimum(nth - _take(nth, last) + 1, MAX_DISTANCE), MAX_DISTANCE)
    closes = following < NEVER
    return {
        "reopened": reopened,
        "reopened_length": np.where(reopened < MAX_DISTANCE, np.minimum(_take(shut, last), MAX_DISTANCE), 0),
        "closing": np.where(closes, np.minimum(_take(nth, following) - nth + 1, MAX_DISTANCE), MAX_DISTANCE),
        "closing_length": np.where(closes, _take(shuts, following), 0),
        "closing_start": np.where(closes, following + plan.first + 1, NEVER),
    }


def _last_flag(flags: Bools) -> Ints:
    """The column of the last flag up to each day; -UNSEEN: none."""
    columns = np.arange(flags.shape[1], dtype=np.int32)
    return np.maximum.accumulate(np.where(flags, columns, np.int32(-NEVER)), axis=1)


def _next_flag(flags: Bools) -> Ints:
    """The column of the first flag from each day on; UNSEEN: none."""
    columns = np.arange(flags.shape[1], dtype=np.int32)
    found: Ints = np.minimum.accumulate(np.where(flags, columns, np.int32(NEVER))[:, ::-1], axis=1)[:, ::-1]
    return found


def _days_since(flags: Bools) -> Ints:
    distance: Ints = np.minimum(np.arange(flags.shape[1], dtype=np.int32) - _last_flag(flags), np.int32(MAX_DISTANCE))
    return distance


def _days_until(flags: Bools) -> Ints:
    distance: Ints = np.minimum(_next_flag(flags) - np.arange(flags.shape[1], dtype=np.int32), np.int32(MAX_DISTANCE))
    return distance


def _take(values: Ints, columns: Ints) -> NDArray[Any]:
    """Values at columns of the same row; any, where the column lies outside."""
    return np.take_along_axis(values, np.clip(columns, 0, values.shape[1] - 1), axis=1)
