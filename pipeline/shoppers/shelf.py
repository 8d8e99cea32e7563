"""A week at any shelf: expected purchases, units and revenue when some prices and promotions are not today's.

The chain of models and its intervals are those of `what_if`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.errors import UsageError
from pipeline.shoppers.what_if import interval_of, known_brands, week_at, weekly_sample
from pipeline.shoppers.wide_frame import with_mean_shelf

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from pipeline.shoppers.estimation import Interval
    from pipeline.shoppers.what_if import Models, Week


@dataclass(frozen=True)
class BrandWeek:
    """A brand in a week at a shelf: its price (money), whether it is promoted, purchases and units."""

    price: float
    promoted: bool
    purchases: Interval
    units: Interval


@dataclass(frozen=True)
class ShelfWeek:
    """A week at a shelf, and its relative change (a fraction) from the same week at today's shelf.

    Attributes:
        visits: number of visits in the week.
        purchases, units, revenue: of the week (counts, units, money).
        purchases_change, units_change, revenue_change: relative changes as fractions.
        brands: brand -> its part of the week.
    """

    visits: float
    purchases: Interval
    units: Interval
    revenue: Interval
    purchases_change: Interval
    units_change: Interval
    revenue_change: Interval
    brands: dict[str, BrandWeek]


@dataclass(frozen=True)
class Today:
    """What every shelf is compared with: a sample of shoppers, the visits of each in a week, and today's week."""

    sample: pd.DataFrame
    visits: NDArray[np.float64]
    week: Week

    @classmethod
    def of(cls, models: Models, shoppers: pd.DataFrame) -> Self:
        """Compute today's week; `shoppers` are rows of `wide_frame.frame` of `shopper_features`."""
        sample, visits = weekly_sample(shoppers)
        return cls(sample, visits, week_at(models, sample, visits))


def shelf_week(models: Models, now: Today, prices: Mapping[str, float], promotions: Mapping[str, bool]) -> ShelfWeek:
    """Compute a week with some prices and promotions other than today's.

    Args:
        models: the chain.
        now: today's week by the same models.
        prices: brand -> price; today's of the brands that are left out.
        promotions: brand -> whether it is promoted; as today for the brands that are left out.

    Raises:
        UsageError: if the models do not know a brand.
    """
    known = known_brands(models)
    if unknown := sorted((prices.keys() | promotions.keys()) - set(known)):
        raise UsageError("The models do not know these brands", observed=unknown, allowed=", ".join(known))
    given = {f"prices:{brand}": price for brand, price in prices.items()}
    given |= {f"promotions:{brand}": float(promoted) for brand, promoted in promotions.items()}
    shelf = with_mean_shelf(now.sample.assign(**given))
    today, changed = now.week, week_at(models, shelf, now.visits)
    totals = {
        "purchases": (changed.purchases, today.purchases),
        "units": (changed.units.sum(axis=1), today.units.sum(axis=1)),
        "revenue": (changed.revenue.sum(axis=1), today.revenue.sum(axis=1)),
    }
    return ShelfWeek(
        float(now.visits.sum()),
        **{name: interval_of(new) for name, (new, _) in totals.items()},
        **{f"{name}_change": interval_of(new / old - 1) for name, (new, old) in totals.items()},
        brands={
            brand: BrandWeek(
                float(shelf[f"prices:{brand}"].median()),
                bool(shelf[f"promotions:{brand}"].median() > 0),
                interval_of(changed.brand_purchases[:, at]),
                interval_of(changed.units[:, at]),
            )
            for at, brand in enumerate(known)
            if shelf[f"prices:{brand}"].notna().any()
        },
    )
