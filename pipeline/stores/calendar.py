"""What is known of a store's day before it comes: calendar, promotions, holidays and planned closures.

Nothing here reads sales or customers, so history and the days to forecast are described alike. Everything is computed
on grids of stores x days, so that one store's weeks cost next to nothing and a chain's years little. Distances are in
days and end at `FAR`; those that look ahead (`AHEAD`) know the whole plan they are given, and `seen_from` cuts them to
what a forecast made on an earlier day could have known.
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

FAR = 60  # days; further away is as good as never
LONG = 4  # closed days in a row that no holiday explains: longer is a closure with effects of its own
LONGEST = 14  # what is told apart of a closure's length ahead
AHEAD = ("promo_until", "promo_ends", "holiday_until", "school_until", "school_ends", "closed_until")
UNKNOWN = "unknown"
UNSEEN = 1_000_000  # a day that never comes
THURSDAY, SUNDAY = 3, 6
HOLIDAYS = {"none": 0, "public": 1, "easter": 2, "christmas": 3}
WORDS = ("store_type", "assortment", "state")  # the columns that are str; the others are numbers

DATES = ("weekday", "day_of_month", "days_to_month_end", "week", "day_of_year", "easter_days", "christmas_days")
DISTANCES = (
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
ABOUT = ("promo2_weeks", "promo2_month", "competition_months", "competition_distance")
KNOWN: tuple[str, ...] = (*DATES, *DISTANCES, *ABOUT, *WORDS)


@dataclass(frozen=True)
class Plan:
    """Stores x days as planned, or as they were: (S, T) each, False or 0 where nothing is known.

    Attributes:
        as_of: the first day to forecast; `t` counts days from it, so history is negative.
        first: the t of the first column.
        known: whether the day has a row; one without is unknown, which is not closed.
        holiday: a number of `HOLIDAYS` (int8).
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
        return replace(self, **{name: getattr(self, name)[stores] for name in PLANNED})

    def since(self, first: int) -> Plan:
        """Only the days from a t on."""
        skipped = first - self.first
        return replace(self, first=first, **{name: getattr(self, name)[:, skipped:] for name in PLANNED})

    def enough(self) -> Plan:
        """Only the days that the days from as_of on can be described by: any earlier ones are `FAR` or further."""
        past = self.open[:, : -self.first]
        still_open = past[:, ::-1].cumsum(1)[:, ::-1]  # open days from each day on
        # One open day more than are counted, and all the closed days before it, so that no closure is cut.
        needed = self.known[:, : -self.first] & (still_open <= FAR + 1)
        days = np.flatnonzero(needed.any(0))
        return self.since(min(self.first + int(days[0]) if len(days) else 0, 0))


PLANNED = ("known", "open", "promo", "school", "holiday")


@dataclass(frozen=True)
class Calendar:
    """`DATES`, (T,), and `DISTANCES` with `closing_start` (a t), (S, T), of a plan; only open days are described."""

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


def seen_from(days: Columns, origin: int, horizon: int) -> Columns:
    """Rows of a calendar with their look ahead cut at the last day that a forecast made on `origin` (a t) knows of."""
    last = origin + horizon  # exclusive
    seen = {name: np.where(days["t"] + days[name] >= last, FAR, days[name]) for name in AHEAD}
    length = np.minimum(days["closing_length"], last - days["closing_start"])
    visible = (days["closing"] < FAR) & (length >= LONG)
    seen["closing"] = np.where(visible, days["closing"], FAR)
    seen["closing_length"] = np.where(visible, np.minimum(length, LONGEST), 0)
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
        "promo_day": _since(known & ~promo),
        "promo_since": _since(promo),
        "promo_until": _until(promo),
        "promo_ends": _until(known & ~promo),
        "holiday": plan.holiday,
        "holiday_since": _since(holiday),
        "holiday_until": _until(holiday),
        "school": school,
        "school_day": _since(known & ~school),
        "school_since": _since(school),
        "school_until": _until(school),
        "school_ends": _until(known & ~school),
        "open_days": _since(closed),
        "closed_since": _since(odd),
        "closed_until": _until(odd),
        "open_week": opened - week_ago,
    }


def _closures(plan: Plan) -> Columns:
    """The closure behind each open day and the one ahead, counted in open days.

    `closing_start` (a t) and the whole `closing_length` go along for `seen_from` to cut.
    """
    is_open = plan.open
    nth = is_open.cumsum(1, dtype=np.int32)
    closed = (plan.known & ~is_open).cumsum(1, dtype=np.int32)
    # Closed rows right before and right after each open day; a day without a row is not among them.
    before = np.pad(_last(is_open), ((0, 0), (1, 0)), constant_values=-UNSEEN)[:, :-1]
    after = np.pad(_next(is_open), ((0, 0), (0, 1)), constant_values=UNSEEN)[:, 1:]
    shut = np.where(before >= 0, closed - _at(closed, before), 0)
    shuts = np.where(after < UNSEEN, _at(closed, after), closed[:, -1:]) - closed
    last, following = _last(is_open & (shut >= LONG)), _next(is_open & (shuts >= LONG))
    reopened = np.where(last >= 0, np.minimum(nth - _at(nth, last) + 1, FAR), FAR)
    closes = following < UNSEEN
    return {
        "reopened": reopened,
        "reopened_length": np.where(reopened < FAR, np.minimum(_at(shut, last), FAR), 0),
        "closing": np.where(closes, np.minimum(_at(nth, following) - nth + 1, FAR), FAR),
        "closing_length": np.where(closes, _at(shuts, following), 0),
        "closing_start": np.where(closes, following + plan.first + 1, UNSEEN),
    }


def _last(flags: Bools) -> Ints:
    """The column of the last flag up to each day; -UNSEEN: none."""
    columns = np.arange(flags.shape[1], dtype=np.int32)
    return np.maximum.accumulate(np.where(flags, columns, np.int32(-UNSEEN)), axis=1)


def _next(flags: Bools) -> Ints:
    """The column of the first flag from each day on; UNSEEN: none."""
    columns = np.arange(flags.shape[1], dtype=np.int32)
    found: Ints = np.minimum.accumulate(np.where(flags, columns, np.int32(UNSEEN))[:, ::-1], axis=1)[:, ::-1]
    return found


def _since(flags: Bools) -> Ints:
    distance: Ints = np.minimum(np.arange(flags.shape[1], dtype=np.int32) - _last(flags), np.int32(FAR))
    return distance


def _until(flags: Bools) -> Ints:
    distance: Ints = np.minimum(_next(flags) - np.arange(flags.shape[1], dtype=np.int32), np.int32(FAR))
    return distance


def _at(values: Ints, columns: Ints) -> NDArray[Any]:
    """Values at columns of the same row; any, where the column lies outside."""
    return np.take_along_axis(values, np.clip(columns, 0, values.shape[1] - 1), axis=1)
