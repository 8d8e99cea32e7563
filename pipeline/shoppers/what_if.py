"""What-if analysis of prices: expected purchases, units and revenue of a week at other prices, and total elasticities.

The three models form a chain. The expected units of brand j at a visit are

    probability of a purchase x share of brand j x units of a purchase of j

and each factor depends on prices: the probability on the mean price, the share on all prices, the units on the brand's
own price. So the total elasticity of a brand's units to its price is the sum of three elasticities. The number of
visits is that of the last four weeks; whether prices change it cannot be estimated from these data.

Intervals come from the bootstrap over people of each model (see `estimation`): replicate k of one model is combined
with replicate k of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UsageError
from pipeline.shoppers.estimation import DRAWS, Interval
from pipeline.shoppers.purchase_probability import predict, predict_draws
from pipeline.shoppers.wide_frame import by_brand, with_mean_shelf

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from pipeline.shoppers.brand_choice import BrandChoice
    from pipeline.shoppers.purchase_quantity import PurchaseQuantity

CHANGES = (-0.10, -0.05, 0.05, 0.10)
STEP = 0.01
"""The price change, as a fraction, that elasticities are computed with."""
SHOPPERS = 1_000
"""People that a what-if is computed for, at most; if there are more, an evenly spaced sample represents them."""


@dataclass(frozen=True)
class Models:
    """The three models of the chain."""

    probability: Pipeline
    choice: BrandChoice
    quantity: PurchaseQuantity


@dataclass(frozen=True)
class WhatIf:
    """A week at changed prices, compared with the same week at today's prices.

    Attributes:
        brand: the brand whose price changes; None if all prices do.
        change: the price change as a fraction: -0.1 is ten per cent less.
        visits: number of visits in the week.
        purchases, units, revenue: of the week at the changed price (counts, units, money).
        brand_units: units of the brand whose price changes; of all brands if all prices do.
        purchases_change, units_change, revenue_change, brand_units_change: relative changes as fractions.
    """

    brand: str | None
    change: float
    visits: float
    purchases: Interval
    units: Interval
    revenue: Interval
    brand_units: Interval
    purchases_change: Interval
    units_change: Interval
    revenue_change: Interval
    brand_units_change: Interval


@dataclass(frozen=True)
class TotalElasticity:
    """The elasticity of a brand's units to its own price, and the three parts that add up to it.

    `wrong` is true if the part of the choice model is positive; the total is then not credible.
    """

    brand: str
    probability: Interval
    choice: Interval
    quantity: Interval
    total: Interval
    wrong: bool


def what_if(
    models: Models, shoppers: pd.DataFrame, *, brand: str | None = None, changes: Sequence[float] = CHANGES
) -> list[WhatIf]:
    """Compute a week at changed prices, one result per change.

    Args:
        models: the chain.
        shoppers: rows of `wide_frame.frame` of `shopper_features`.
        brand: the brand whose price changes; None for all brands.
        changes: relative price changes as fractions.

    Raises:
        UsageError: the models do not know the brand, or a change is -1 or less.
    """
    known = known_brands(models)
    if brand is not None and brand not in known:
        raise UsageError("The models do not know this brand", observed=brand, allowed=", ".join(known))
    if unpriced := [change for change in changes if not change > -1]:
        raise UsageError("A price change must leave a price above 0", observed=unpriced, allowed="fractions above -1")
    sample, visits = weekly_sample(shoppers)
    today = week_at(models, sample, visits)
    results = []
    for change in changes:
        changed = week_at(models, _repriced(sample, brand, 1 + change), visits)
        at = slice(None) if brand is None else slice(known.index(brand), known.index(brand) + 1)
        figures = {
            "purchases": (changed.purchases, today.purchases),
            "units": (changed.units.sum(axis=1), today.units.sum(axis=1)),
            "revenue": (changed.revenue.sum(axis=1), today.revenue.sum(axis=1)),
            "brand_units": (changed.units[:, at].sum(axis=1), today.units[:, at].sum(axis=1)),
        }
        results.append(
            WhatIf(
                brand,
                change,
                float(visits.sum()),
                **{name: interval_of(new) for name, (new, _) in figures.items()},
                **{f"{name}_change": interval_of(new / old - 1) for name, (new, old) in figures.items()},
            )
        )
    return results


def total_elasticities(models: Models, shoppers: pd.DataFrame) -> list[TotalElasticity]:
    """Return the elasticity of each brand's units to its price, in total and by model."""
    sample, visits = weekly_sample(shoppers)
    today = _parts(models, sample)
    units_today = _units(today, visits)
    results = []
    for at, brand in enumerate(known_brands(models)):
        changed = _parts(models, _repriced(sample, brand, 1 + STEP))
        parts = []
        for name in ("probability", "share", "units"):
            units = _units(_Parts(**{**vars(today), name: getattr(changed, name)}), visits)
            parts.append(np.log(units[:, at] / units_today[:, at]) / np.log(1 + STEP))
        total = np.log(_units(changed, visits)[:, at] / units_today[:, at]) / np.log(1 + STEP)
        probability, choice, quantity = (interval_of(part) for part in parts)
        results.append(
            TotalElasticity(brand, probability, choice, quantity, interval_of(total), bool(choice.value >= 0))
        )
    return results


def own_elasticities(models: Models, shoppers: pd.DataFrame) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return the elasticities of each row to each brand's price: brand -> model of the chain -> (rows,).

    The three elasticities of a row add up to that of the brand's units; NaN if the brand is not on the shelf.
    """
    known = known_brands(models)
    choice = {str(brand): at for at, brand in enumerate(models.choice.brands_)}
    quantity = {str(brand): at for at, brand in enumerate(models.quantity.brands_)}

    def parts(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        """Return the purchase probability, (rows, 1), and each brand's share and units, (rows, brands)."""
        return {
            "probability": predict(models.probability, rows)[:, None],
            "choice": models.choice.shares(rows)[:, [choice[brand] for brand in known]],
            "quantity": models.quantity.units(rows)[:, [quantity[brand] for brand in known]],
        }

    today = parts(shoppers)
    elasticities = {}
    for at, brand in enumerate(known):
        changed = parts(_repriced(shoppers, brand, 1 + STEP))
        with np.errstate(invalid="ignore", divide="ignore"):
            elasticities[brand] = {
                name: np.log(changed[name] / today[name])[:, min(at, today[name].shape[1] - 1)] / np.log(1 + STEP)
                for name in today
            }
    return elasticities


@dataclass(frozen=True)
class _Parts:
    """The factors of the chain for each person, the estimate first and then each bootstrap replicate.

    `probability` is (1 + draws, people); `share` and `units` are (1 + draws, people, brands).
    """

    probability: NDArray[np.float64]
    share: NDArray[np.float64]
    units: NDArray[np.float64]


@dataclass(frozen=True)
class Week:
    """Sums over people: `purchases` is (1 + draws,); the others are (1 + draws, brands)."""

    purchases: NDArray[np.float64]
    brand_purchases: NDArray[np.float64]
    units: NDArray[np.float64]
    revenue: NDArray[np.float64]


def known_brands(models: Models) -> tuple[str, ...]:
    """Return the brands that both the choice and the quantity model know, sorted as the choice model has them."""
    return tuple(str(b) for b in models.choice.brands_ if b in models.quantity.brands_)


def weekly_sample(shoppers: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return an evenly spaced sample of people, and the weekly visits that each of them represents."""
    at = np.unique(np.linspace(0, len(shoppers) - 1, min(SHOPPERS, len(shoppers))).astype(int))
    sample = shoppers.iloc[at].reset_index(drop=True)
    weekly = sample["weekly_visits"].to_numpy(dtype=np.float64)
    scale = shoppers["weekly_visits"].sum() / weekly.sum() if weekly.sum() else 1.0
    return sample, weekly * scale


def _repriced(shoppers: pd.DataFrame, brand: str | None, factor: float) -> pd.DataFrame:
    prices = [n for n in shoppers.columns if n.startswith("prices:") and brand in (None, n.removeprefix("prices:"))]
    return with_mean_shelf(shoppers.assign(**{name: shoppers[name] * factor for name in prices}))


def _parts(models: Models, shoppers: pd.DataFrame) -> _Parts:
    known = known_brands(models)
    probability = np.column_stack([predict(models.probability, shoppers), predict_draws(models.probability, shoppers)])
    choice, logit = models.choice.design(shoppers), models.choice.logit_
    at = [list(models.choice.brands_).index(brand) for brand in known]
    share = np.stack([logit.shares(choice, coef)[:, at] for coef in (logit.coef_, *logit.draws_)])
    quantity, glm = models.quantity.design_draws(shoppers), models.quantity.glm_
    at = [list(models.quantity.brands_).index(brand) for brand in known]
    expected = np.exp(np.stack([glm.coef_, *glm.draws_]) @ np.nan_to_num(quantity[:, at]).transpose(0, 2, 1))
    return _Parts(probability.T, share, expected.transpose(1, 0, 2))


def _units(parts: _Parts, visits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the units of the week, (1 + draws, brands)."""
    units: NDArray[np.float64] = np.einsum(
        "n,dn,dnb,dnb->db", visits, parts.probability, parts.share, parts.units, optimize=True
    )
    return units


def week_at(models: Models, shoppers: pd.DataFrame, visits: NDArray[np.float64]) -> Week:
    """Return the week of a sample of people (rows) with so many visits each."""
    parts = _parts(models, shoppers)
    prices = np.nan_to_num(by_brand(shoppers, "prices", known_brands(models)))
    money = np.einsum("n,nb,dn,dnb,dnb->db", visits, prices, parts.probability, parts.share, parts.units, optimize=True)
    chosen = np.einsum("n,dn,dnb->db", visits, parts.probability, parts.share, optimize=True)
    return Week(parts.probability @ visits, chosen, _units(parts, visits), money)


def interval_of(values: NDArray[np.float64]) -> Interval:
    """Return the interval of values that hold the estimate first and its draws after it."""
    return Interval.of(values[0], values[1 : DRAWS + 1])
