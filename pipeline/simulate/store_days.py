"""The simulated chain of stores: its sales by store and day, with known effects."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
from dateutil.easter import easter  # type: ignore[import-untyped]

from pipeline.errors import UsageError

STORE_DAYS = pa.schema(
    [
        ("store", pa.int64()),
        ("day", pa.date32()),
        ("sales", pa.float64()),
        ("customers", pa.int64()),
        ("open", pa.bool_()),
        ("promo", pa.bool_()),
        ("state_holiday", pa.string()),
        ("school_holiday", pa.bool_()),
    ]
)
STORES = pa.schema(
    [
        ("store", pa.int64()),
        ("store_type", pa.string()),
        ("assortment", pa.string()),
        ("competition_distance", pa.float64()),
        ("competition_since", pa.date32()),
        ("promo2", pa.bool_()),
        ("promo2_since", pa.date32()),
        ("promo2_months", pa.string()),
        ("state", pa.string()),
    ]
)
_EPOCH = dt.date(2013, 1, 7)  # a Monday in a week with promotion; a store's level refers to this day
_TYPES, _ASSORTMENTS, _STATES = ("a", "b", "c", "d"), ("a", "c"), ("BE", "BY", "HE", "NW")


@dataclass(frozen=True)
class Effects:
    """The true effects, in log sales: 0.3 is 35 % more.

    Attributes:
        promotion: on a day with promotion.
        weekday: Monday to Sunday.
        eve: on the day before a holiday.
        advent: on Christmas Eve, growing linearly over the four weeks before.
        season: amplitude of a yearly wave, highest at midsummer and lowest at New Year.
        trend: a year, the mean over stores, whose standard deviation is a third of it.
        competitor: once one has opened within a kilometre; beyond, in inverse proportion to the distance.
        noise: standard deviation of a day.
    """

    promotion: float = 0.3
    weekday: tuple[float, ...] = (0.15, 0.0, -0.05, -0.05, 0.05, 0.0, 0.1)
    eve: float = 0.15
    advent: float = 0.35
    season: float = 0.15
    trend: float = 0.05
    competitor: float = -0.12
    noise: float = 0.06


@dataclass(frozen=True)
class Chain:
    """The simulated chain.

    A store's day depends on these values and the day only, never on which other days are requested.

    Attributes:
        seed: random seed.
        count: number of stores, numbered from 1; every tenth is open on Sundays.
        effects: the true effects.
    """

    seed: int = 7
    count: int = 40
    effects: Effects = field(default_factory=Effects)

    def __post_init__(self) -> None:
        if self.count < 1 or self.seed < 0:
            raise UsageError(
                "The chain cannot be simulated",
                observed=f"seed {self.seed}, {self.count} stores",
                allowed="a seed of 0 or more, 1 store or more",
            )

    def stores(self) -> pa.Table:
        """The stores, one row each, with the columns of STORES."""
        truth = self.truth()
        return pa.table(
            {
                "store": truth["store"].to_numpy(),
                "store_type": [_TYPES[k % len(_TYPES)] for k in range(self.count)],
                "assortment": [_ASSORTMENTS[k // 2 % len(_ASSORTMENTS)] for k in range(self.count)],
                "competition_distance": truth["competition_distance"].to_numpy(),
                "competition_since": truth["competition_since"].to_list(),
                "promo2": [k % 2 == 0 for k in range(self.count)],
                "promo2_since": [dt.date(2012, 1, 2) if k % 2 == 0 else None for k in range(self.count)],
                "promo2_months": ["Jan,Apr,Jul,Oct" if k % 2 == 0 else None for k in range(self.count)],
                "state": [_STATES[k % len(_STATES)] for k in range(self.count)],
            },
            schema=STORES,
        )

    def truth(self) -> pd.DataFrame:
        """The true attributes of the stores.

        Returns:
            One row a store: store, level and trend (of log sales), competition_distance (metres), competition_since,
            competitor (its effect from that date on) and a_customer (mean sales of a customer).
        """
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(3,)))
        distance = np.round(np.exp(rng.normal(7.3, 1.0, self.count)), -1) + 10
        opened = [_EPOCH + dt.timedelta(days=int(days)) for days in rng.integers(-1500, 1500, self.count)]
        return pd.DataFrame(
            {
                "store": np.arange(1, self.count + 1),
                "level": rng.normal(8.6, 0.3, self.count),
                "trend": self.effects.trend + rng.normal(0, abs(self.effects.trend) / 3, self.count),
                "competition_distance": distance,
                "competition_since": opened,
                "competitor": self.effects.competitor * np.minimum(1, 1000 / distance),
                "a_customer": rng.uniform(7, 12, self.count),
            }
        )

    def days(self, start: dt.date, end: dt.date) -> pa.Table:
        """The store days of `[start, end)` with the columns of STORE_DAYS, ordered by day and store."""
        truth, stores = self.truth(), np.arange(self.count)
        parts = [self._day(start + dt.timedelta(days=k), truth, stores) for k in range((end - start).days)]
        return pa.concat_tables([STORE_DAYS.empty_table(), *parts]).combine_chunks()

    def _day(self, day: dt.date, truth: pd.DataFrame, stores: np.ndarray) -> pa.Table:
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(4, day.toordinal())))
        effects, noise = self.effects, rng.normal(0, self.effects.noise, self.count)
        holiday, tomorrow = holiday_of(day), holiday_of(day + dt.timedelta(days=1))
        is_open = np.full(self.count, holiday == "none") & ((day.weekday() < 6) | (stores % 10 == 9))
        promo = promotion_on(day)
        until_christmas = (dt.date(day.year, 12, 25) - day).days
        advent = effects.advent * (29 - until_christmas) / 28 if 0 < until_christmas <= 28 else 0.0
        season = -effects.season * np.cos(2 * np.pi * day.timetuple().tm_yday / 365.25)
        rival = np.array([since <= day for since in truth["competition_since"]]) * truth["competitor"].to_numpy()
        log_sales = (
            truth["level"].to_numpy()
            + truth["trend"].to_numpy() * (day - _EPOCH).days / 365
            + effects.weekday[day.weekday()]
            + effects.promotion * promo
            + effects.eve * (tomorrow != "none")
            + advent
            + season
            + rival
            + noise
        )
        sales = np.where(is_open, np.round(np.exp(log_sales), 2), 0.0)
        return pa.table(
            {
                "store": truth["store"].to_numpy(),
                "day": [day] * self.count,
                "sales": sales,
                "customers": np.rint(sales / truth["a_customer"].to_numpy()).astype(np.int64),
                "open": is_open,
                "promo": np.full(self.count, promo),
                "state_holiday": [holiday] * self.count,
                "school_holiday": np.full(self.count, day.month == 8),
            },
            schema=STORE_DAYS,
        )


def promotion_on(day: dt.date) -> bool:
    """Whether there is a promotion: every other week, from Monday to Friday."""
    return (day - _EPOCH).days // 7 % 2 == 0 and day.weekday() < 5


def holiday_of(day: dt.date) -> str:
    """The holiday of a day: none, public, easter or christmas, the same in all states."""
    if day.month == 12 and day.day in (25, 26):
        return "christmas"
    if (day - easter(day.year)).days in (-2, 1):
        return "easter"
    return "public" if (day.month, day.day) in ((1, 1), (5, 1), (10, 3)) else "none"
