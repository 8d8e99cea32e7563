"""The simulated customers: each has a known segment, a day of joining and perhaps a day of leaving."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline.simulate.seasons import next_open

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Segment(StrEnum):
    """The known segments."""

    INSIDER = "insider"  # few, come often, spend the most
    REGULAR = "regular"
    OCCASIONAL = "occasional"
    ONE_OFF = "one_off"  # buys once, on the day of joining
    LAPSED = "lapsed"  # buys like a regular until a known day, then never again
    RESELLER = "reseller"  # buys rarely and in bulk


@dataclass(frozen=True)
class _Habit:
    first_share: float  # of the customers of the opening year
    later_share: float  # of those who join in each later year
    visits: float  # median invoices a year
    visits_spread: float  # sigma of its logarithm between customers
    basket: float  # mean lines an invoice
    units: float  # median quantity of a line at a usual price
    returned: float = 0.13  # share of invoices with a return


_HABITS = {
    Segment.INSIDER: _Habit(0.03, 0.00, 28.0, 0.35, 12.5, 8.0),
    Segment.REGULAR: _Habit(0.15, 0.00, 10.0, 0.20, 9.0, 4.5),
    Segment.OCCASIONAL: _Habit(0.27, 0.07, 3.2, 0.20, 8.5, 4.0),
    Segment.ONE_OFF: _Habit(0.35, 0.60, 0.0, 0.00, 6.5, 1.7),
    Segment.LAPSED: _Habit(0.17, 0.33, 10.0, 0.20, 9.0, 4.5),
    Segment.RESELLER: _Habit(0.03, 0.00, 5.0, 0.20, 6.0, 45.0),
}
# Kinds that one year of purchases tells apart: visits differ by a factor of three, those who buy once are gift buyers
# before Christmas, those who lapse do so in the first half of their year, and only frequent customers return goods.
_DISTINCT_HABITS = {
    Segment.INSIDER: _Habit(0.10, 0.00, 80.0, 0.12, 14.0, 8.0),
    Segment.REGULAR: _Habit(0.25, 0.00, 26.0, 0.12, 9.0, 4.5),
    Segment.OCCASIONAL: _Habit(0.25, 0.20, 8.0, 0.10, 9.0, 4.5, returned=0.0),
    Segment.ONE_OFF: _Habit(0.20, 0.60, 0.0, 0.00, 2.5, 0.8, returned=0.0),
    Segment.LAPSED: _Habit(0.12, 0.20, 26.0, 0.12, 9.0, 4.5, returned=0.0),
    Segment.RESELLER: _Habit(0.08, 0.00, 9.0, 0.12, 20.0, 60.0, returned=0.0),
}
_STAY, _DISTINCT_STAY = (90, 640), (60, 180)  # days until those who lapse leave
_GIFT_MONTHS = (11, 12)
SEGMENTS = tuple(_HABITS)
LATER_COHORT = 0.55  # customers who join in each year after the first, as a share of the first year's
FIRST_ID = 12_346
NEVER = date.max.toordinal()

HOME = "United Kingdom"
ABROAD = {"Germany": 18, "France": 16, "EIRE": 15, "Spain": 5, "Netherlands": 4, "Belgium": 4, "Switzerland": 4}
ABROAD |= {"Portugal": 3, "Australia": 2, "Norway": 2, "Italy": 2}
NEW_COUNTRIES = ("Japan", "Brazil", "Poland")  # only with a planted drift
COUNTRIES = (HOME, *ABROAD, *NEW_COUNTRIES)
_HOME_SHARE = 0.90


@dataclass(frozen=True)
class People:
    """Customers as arrays of equal length.

    Attributes:
        number: customer number, counted from FIRST_ID.
        segment: position in SEGMENTS.
        joined, left: ordinals of the first day and of the day after the last.
        visits: expected invoices a year.
        basket: mean lines an invoice.
        units: median quantity of a line.
        country: position in COUNTRIES.
        weekday, hour: the preferred ones; weekday 0 is Monday.
        mover: uniform in [0, 1); a drift moves the customers below its share abroad.
        returned: share of the customer's invoices with a return.
    """

    number: Ints
    segment: Ints
    joined: Ints
    left: Ints
    visits: Floats
    basket: Floats
    units: Floats
    country: Ints
    weekday: Ints
    hour: Floats
    mover: Floats
    returned: Floats


def cohorts_by(opened: date, day: date) -> int:
    """The number of yearly cohorts that have started by a day."""
    return (day - opened).days // 365 + 1


@lru_cache(maxsize=4)
def people(
    seed: int, customers: int, opened: date, closed: tuple[int, ...], cohorts: int, distinct: bool = False
) -> People:
    """The customers of the first `cohorts` years; more years append to the same list.

    `distinct` gives them habits by which the kinds can be told apart.
    """
    parts = [_cohort(seed, customers, opened, closed, year, distinct) for year in range(cohorts)]
    return People(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(People)})


@lru_cache(maxsize=16)
def _cohort(seed: int, customers: int, opened: date, closed: tuple[int, ...], year: int, distinct: bool) -> People:
    habits = _DISTINCT_HABITS if distinct else _HABITS
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, year)))
    later = round(customers * LATER_COHORT)
    size = later if year else customers
    shares = [habit.later_share if year else habit.first_share for habit in habits.values()]
    segment = rng.permutation(np.searchsorted(np.cumsum(shares), (np.arange(size) + 0.5) / size)).astype(np.int64)

    def habit(name: str) -> Floats:
        return np.array([getattr(h, name) for h in habits.values()], dtype=np.float64)[segment]

    start = opened.toordinal() + 365 * year
    one_off, lapsed = SEGMENTS.index(Segment.ONE_OFF), SEGMENTS.index(Segment.LAPSED)
    joined = start + rng.integers(0, 365, size)
    if not year:  # most of those who stay were customers before the first day
        joined[(segment != one_off) & (rng.random(size) < (1.0 if distinct else 0.75))] = start
    days = [opened + timedelta(days=365 * year + d) for d in range(365)]
    if distinct:
        gifts = [day for day in days if day.month in _GIFT_MONTHS]
        days = [gifts[d * len(gifts) // 365] for d in range(365)]
    trading = np.array([next_open(day, closed).toordinal() for day in days])
    joined = np.where(segment == one_off, trading[joined - start], joined)
    stay = rng.integers(*(_DISTINCT_STAY if distinct else _STAY), size)
    left = np.where(segment == lapsed, joined + stay, np.where(segment == one_off, joined + 1, NEVER))
    abroad = rng.choice(len(ABROAD), size, p=np.array(list(ABROAD.values())) / sum(ABROAD.values())) + 1
    first = FIRST_ID + (customers + later * (year - 1) if year else 0)
    return People(
        number=np.arange(first, first + size, dtype=np.int64),
        segment=segment,
        joined=joined,
        left=left,
        visits=habit("visits") * np.exp(habit("visits_spread") * rng.standard_normal(size)),
        basket=habit("basket") * np.exp(0.20 * rng.standard_normal(size)),
        units=habit("units") * np.exp(0.30 * rng.standard_normal(size)),
        country=np.where(rng.random(size) < _HOME_SHARE, 0, abroad),
        weekday=rng.choice([weekday for weekday in range(7) if weekday not in closed], size),
        hour=np.clip(rng.normal(12.5, 2.0, size), 8, 18),
        mover=rng.random(size),
        returned=habit("returned"),
    )
