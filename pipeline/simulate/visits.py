"""Simulated visits to a supermarket shelf: who comes, whether they buy, which brand and how many units.

The coefficients are known, so that the estimates of `pipeline/shoppers` can be compared with them: the probability of a
purchase depends on price, promotion and the person; the brand on price, promotion, the last brand and loyalty; the
units on price and promotion. See `Truth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.simulate.addresses import options_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BRANDS = ("1", "2", "3", "4", "5")
USUAL_PRICES = np.array([1.40, 1.75, 2.00, 2.15, 2.60])
FIRST_PERSON = 300_000_001
MEMORY_DAYS = 180.0
CREDIT = 0.2  # purchases of each brand with which loyalty starts
PEOPLE = pa.schema(
    [("ID", pa.string())]
    + [(name, pa.int64()) for name in ("Sex", "Marital status", "Age", "Education")]
    + [("Income", pa.float64())]
    + [(name, pa.int64()) for name in ("Occupation", "Settlement size")]
)


@dataclass(frozen=True)
class Truth:
    """The true coefficients.

    Attributes:
        purchase, price, promotion: of the log odds of a purchase: constant, per unit of the mean price, and per unit
            of the share of brands on promotion.
        constants, log_price: of each brand's utility.
        brand_promotion, last_brand, loyalty: of every brand's utility.
        quantity, log_price_quantity, promotion_quantity: of the log of expected units.
    """

    purchase: float = 3.0
    price: float = -2.3
    promotion: float = 0.6
    constants: tuple[float, ...] = (0.0, 0.8, 1.0, 1.5, 2.6)
    log_price: tuple[float, ...] = (-4.0, -4.0, -3.5, -3.5, -3.0)
    brand_promotion: float = 0.4
    last_brand: float = 0.8
    loyalty: float = 0.7
    quantity: float = 1.3
    log_price_quantity: float = -0.6
    promotion_quantity: float = 0.15


@dataclass(frozen=True)
class Shelf:
    """The simulated supermarket.

    A day depends on these values and the days since the opening, never on which days are requested.

    Attributes:
        seed: random seed.
        people: number of people.
        opened: the first day.
        prices: factor on all prices from `prices_from` on, a planted drift.
        truth: the true coefficients.
    """

    seed: int = 7
    people: int = 400
    opened: date = date(2024, 1, 1)
    prices: float = 1.0
    prices_from: date = date.max
    truth: Truth = Truth()

    def __post_init__(self) -> None:
        for name, observed, good, allowed in (
            ("seed", self.seed, self.seed >= 0, "0 or more"),
            ("people", self.people, 10 <= self.people <= 1_000_000, "10 to 1000000"),
            ("prices", self.prices, 0 < self.prices <= 100, "a factor above 0, at most 100"),
        ):
            if not good:
                raise UsageError("The shelf cannot be simulated", where=name, observed=observed, allowed=allowed)

    @classmethod
    def from_uri(cls, uri: str) -> Shelf:
        """Make the shelf of an address such as `simulate://visits?seed=7&people=400`.

        Raises:
            UsageError: listing every option that is unknown, unreadable or given twice.
        """
        return cls(**options_of(uri, _OPTIONS))

    def visits(self, start: date, end: date) -> pa.Table:
        """The visits of `[start, end)`: ID, Day, Incidence, Brand, Quantity, Price_1 …, Promotion_1 …."""
        days = [day for day in _simulated_days(self, end) if day["day"] >= start]
        parts = [_table(day) for day in days]
        return pa.concat_tables([_SCHEMA.empty_table(), *parts]).combine_chunks()

    def people_table(self) -> pa.Table:
        """The demographics of all people, with the columns of PEOPLE."""
        return _people(self.seed, self.people)


@lru_cache(maxsize=4)
def _people(seed: int, count: int) -> pa.Table:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11,)))
    group = rng.choice(4, count, p=(0.30, 0.25, 0.25, 0.20))
    chance = {  # by group: at home with a family, settled and well paid, starting out, older and educated
        "sex": np.array([0.95, 0.05, 0.20, 0.50]),
        "marital": np.array([0.97, 0.10, 0.05, 0.70]),
    }
    age = np.clip(np.array([30, 36, 33, 56])[group] + rng.normal(0, 5, count), 18, 80).astype(np.int64)
    education = np.clip(np.round(np.array([1.0, 0.8, 0.7, 2.1])[group] + rng.normal(0, 0.35, count)), 0, 3)
    income = np.round(np.array([100e3, 140e3, 92e3, 158e3])[group] * np.exp(rng.normal(0, 0.15, count)), 2)
    occupation = np.clip(np.round(np.array([0.7, 1.4, 0.2, 1.1])[group] + rng.normal(0, 0.3, count)), 0, 2)
    size = np.clip(np.round(np.array([0.4, 1.6, 0.1, 1.1])[group] + rng.normal(0, 0.3, count)), 0, 2)
    columns = [
        pa.array((FIRST_PERSON + np.arange(count)).astype(str)),
        (rng.random(count) < chance["sex"][group]).astype(np.int64),
        (rng.random(count) < chance["marital"][group]).astype(np.int64),
        age,
        education.astype(np.int64),
        income,
        occupation.astype(np.int64),
        size.astype(np.int64),
    ]
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=PEOPLE)


def _simulated_days(shelf: Shelf, end: date) -> tuple[dict[str, Any], ...]:
    return _simulate(shelf, max((end - shelf.opened).days, 0))


@lru_cache(maxsize=2)
def _simulate(shelf: Shelf, days: int) -> tuple[dict[str, Any], ...]:
    """Simulate every day from the opening on, because loyalty depends on all earlier purchases."""
    truth, count = shelf.truth, shelf.people
    people = _people(shelf.seed, count)
    age, income = people["Age"].to_numpy(), people["Income"].to_numpy()
    appetite = 0.5 * (age - 38) / 12 + 0.3 * (income - 120e3) / 35e3
    often = 0.10 + 0.12 * np.random.default_rng(np.random.SeedSequence(shelf.seed, spawn_key=(12,))).random(count)
    last = np.full(count, -1)
    remembered = np.zeros((count, len(BRANDS)))
    simulated = []
    for number in range(days):
        day = shelf.opened + timedelta(days=number)
        rng = np.random.default_rng(np.random.SeedSequence(shelf.seed, spawn_key=(13, number)))
        prices, promoted = _offer(shelf, number, day)
        remembered *= np.exp(-1 / MEMORY_DAYS)
        luck = rng.random((3, count))
        visitors = np.flatnonzero(luck[0] < often)
        odds = truth.purchase + truth.price * prices.mean() + truth.promotion * promoted.mean() + appetite[visitors]
        bought = luck[1, visitors] < 1 / (1 + np.exp(-odds))
        share = (remembered[visitors] + CREDIT) / (
            remembered[visitors].sum(axis=1, keepdims=True) + CREDIT * len(BRANDS)
        )
        utility = np.array(truth.constants) + np.array(truth.log_price) * np.log(prices)
        utility = utility + truth.brand_promotion * promoted + truth.loyalty * np.log(share)
        utility = utility + truth.last_brand * (last[visitors, None] == np.arange(len(BRANDS)))
        weight = np.exp(utility - utility.max(axis=1, keepdims=True))
        cumulative = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
        brand = np.minimum((luck[2, visitors, None] > cumulative).sum(axis=1), len(BRANDS) - 1)
        mean = np.exp(truth.quantity + truth.log_price_quantity * np.log(prices[brand]))
        mean = mean * np.exp(truth.promotion_quantity * promoted[brand])
        # At least one unit, and the true mean nevertheless.
        units = np.where(bought, 1 + rng.poisson(np.maximum(mean - 1, 0)), 0)
        buyers = visitors[bought]
        last[buyers] = brand[bought]
        remembered[buyers, brand[bought]] += 1
        simulated.append(
            {"day": day, "visitors": visitors, "bought": bought, "brand": brand, "units": units, "prices": prices}
            | {"promoted": promoted}
        )
    return tuple(simulated)


def _offer(shelf: Shelf, number: int, day: date) -> tuple[Floats, NDArray[np.bool_]]:
    """The prices and promotions of a day, which change weekly."""
    rng = np.random.default_rng(np.random.SeedSequence(shelf.seed, spawn_key=(14, number // 7)))
    factor = np.exp(rng.normal(0, 0.08, len(BRANDS)))
    promoted = rng.random(len(BRANDS)) < 0.2
    # A promotion is a better place on the shelf, and in half of the cases also a lower price.
    cheaper = promoted & (rng.random(len(BRANDS)) < 0.5)
    prices = USUAL_PRICES * factor * np.where(cheaper, 0.85, 1.0)
    return np.round(prices * (shelf.prices if day >= shelf.prices_from else 1.0), 2), promoted


_SCHEMA = pa.schema(
    [("ID", pa.string()), ("Day", pa.string()), ("Incidence", pa.int64()), ("Brand", pa.string())]
    + [("Quantity", pa.int64())]
    + [(f"Price_{brand}", pa.float64()) for brand in BRANDS]
    + [(f"Promotion_{brand}", pa.int64()) for brand in BRANDS]
)


def _table(day: dict[str, Any]) -> pa.Table:
    rows = len(day["visitors"])
    brand = pa.array(BRANDS).take(pa.array(day["brand"]))
    columns = [
        pa.array((FIRST_PERSON + day["visitors"]).astype(str), pa.string()),
        pa.array([day["day"].isoformat()] * rows, pa.string()),
        pa.array(day["bought"].astype(np.int64)),
        pc.if_else(pa.array(day["bought"]), brand, pa.scalar("0")),
        pa.array(day["units"]),
        *(pa.array(np.full(rows, price)) for price in day["prices"]),
        *(pa.array(np.full(rows, int(flag))) for flag in day["promoted"]),
    ]
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


_OPTIONS: dict[str, Any] = {
    "seed": int,
    "people": int,
    "opened": date.fromisoformat,
    "prices": float,
    "prices_from": date.fromisoformat,
}
