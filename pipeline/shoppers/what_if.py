"""What a price change would do: expected visits, purchases, units and revenue, and the elasticities behind them.

The three models are one chain. Of a visit, the units of brand j are expected to be

    probability of a purchase x share of brand j x units of a purchase of j

and each of the three answers to prices: the probability to the mean price of the shelf, the share to all prices, the
units to the brand's own. So the total elasticity of a brand's units to its price is the sum of the three. How often
people come is taken as it was in the last four weeks; that prices might change it is beyond these data.

Intervals come from the bootstrap over people that each model brings (see `estimation`): the k-th replicate of one model
goes with the k-th of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UsageError
from pipeline.shoppers.estimation import DRAWS, Interval
from pipeline.shoppers.purchase_probability import predict, predict_draws
from pipeline.shoppers.wide_frame import by_brand, of_the_shelf

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from pipeline.shoppers.brand_choice import BrandChoice
    from pipeline.shoppers.purchase_quantity import PurchaseQuantity

CHANGES = (-0.10, -0.05, 0.05, 0.10)
STEP = 0.01
"""The price change, as a share, by which an elasticity is taken."""
SHOPPERS = 1_000
"""People over whom a what-if is computed; more are stood for by an even sample, for means need no more."""


@dataclass(frozen=True)
class Models:
    """The three models that make the chain."""

    probability: Pipeline
    choice: BrandChoice
    quantity: PurchaseQuantity


@dataclass(frozen=True)
class WhatIf:
    """A week at changed prices, beside the same week at today's.

    Attributes:
        brand: whose price changes; None for all of them.
        change: by what share: -0.1 is ten per cent less.
        visits, purchases, units, revenue: of the week, at the changed price.
        brand_units: units of the brand whose price changes; of all brands where all do.
        purchases_change, units_change, revenue_change, brand_units_change: shares, against today's prices.
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
    """Of a brand's units to its own price, and the three parts that add up to it.

    `wrong` says that the choice model's part came out positive: the total is then not to be shown as truth.
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
    """What the week's visits would bring at other prices.

    Args:
        shoppers: rows of `frames.frame` of `shopper_features`.
        brand: whose price changes; None for all of them.
        changes: by what share.

    Raises:
        UsageError: if the models do not know the brand, or a change would leave no price.
    """
    known = _known_brands(models)
    if brand is not None and brand not in known:
        raise UsageError("The models do not know this brand", observed=brand, allowed=", ".join(known))
    if unpriced := [change for change in changes if not change > -1]:
        raise UsageError("A price change must leave a price", observed=unpriced, allowed="shares above -1")
    sample, visits = _sample(shoppers)
    today = _week(models, sample, visits)
    found = []
    for change in changes:
        then = _week(models, _repriced(sample, brand, 1 + change), visits)
        at = slice(None) if brand is None else slice(known.index(brand), known.index(brand) + 1)
        figures = {
            "purchases": (then.purchases, today.purchases),
            "units": (then.units.sum(axis=1), today.units.sum(axis=1)),
            "revenue": (then.revenue.sum(axis=1), today.revenue.sum(axis=1)),
            "brand_units": (then.units[:, at].sum(axis=1), today.units[:, at].sum(axis=1)),
        }
        found.append(
            WhatIf(
                brand,
                change,
                float(visits.sum()),
                **{name: _interval(new) for name, (new, _) in figures.items()},
                **{f"{name}_change": _interval(new / old - 1) for name, (new, old) in figures.items()},
            )
        )
    return found


def total_elasticities(models: Models, shoppers: pd.DataFrame) -> list[TotalElasticity]:
    """Of each brand: what one per cent more of its price does to its units, in per cent, and through which model."""
    sample, visits = _sample(shoppers)
    today = _parts(models, sample)
    total = _units(today, visits)
    found = []
    for at, brand in enumerate(_known_brands(models)):
        then = _parts(models, _repriced(sample, brand, 1 + STEP))
        parts = []
        for name in ("probability", "share", "units"):
            changed = _units(_Parts(**{**vars(today), name: getattr(then, name)}), visits)
            parts.append(np.log(changed[:, at] / total[:, at]) / np.log(1 + STEP))
        whole = np.log(_units(then, visits)[:, at] / total[:, at]) / np.log(1 + STEP)
        probability, choice, quantity = (_interval(part) for part in parts)
        found.append(TotalElasticity(brand, probability, choice, quantity, _interval(whole), bool(choice.value >= 0)))
    return found


def own_elasticities(models: Models, shoppers: pd.DataFrame) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Of each row, not of all together: brand -> model of the chain -> elasticity of its part to the brand's price.

    The three add up to the elasticity of the brand's units; NaN where the brand is not on the shelf.
    """
    known = _known_brands(models)
    choice = {str(brand): at for at, brand in enumerate(models.choice.brands_)}
    quantity = {str(brand): at for at, brand in enumerate(models.quantity.brands_)}

    def parts(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        """(rows, 1 or brands): the chance of a purchase, and of each brand its share and its units."""
        return {
            "probability": predict(models.probability, rows)[:, None],
            "choice": models.choice.shares(rows)[:, [choice[brand] for brand in known]],
            "quantity": models.quantity.units(rows)[:, [quantity[brand] for brand in known]],
        }

    today = parts(shoppers)
    found = {}
    for at, brand in enumerate(known):
        then = parts(_repriced(shoppers, brand, 1 + STEP))
        with np.errstate(invalid="ignore", divide="ignore"):
            found[brand] = {
                name: np.log(then[name] / today[name])[:, min(at, today[name].shape[1] - 1)] / np.log(1 + STEP)
                for name in today
            }
    return found


@dataclass(frozen=True)
class _Parts:
    """By (1 + draws): the estimate first, then each replicate. `probability` has no axis of brands."""

    probability: NDArray[np.float64]
    share: NDArray[np.float64]
    units: NDArray[np.float64]


@dataclass(frozen=True)
class _Week:
    """Sums over people, by (1 + draws) and brand."""

    purchases: NDArray[np.float64]
    units: NDArray[np.float64]
    revenue: NDArray[np.float64]


def _known_brands(models: Models) -> tuple[str, ...]:
    return tuple(str(b) for b in models.choice.brands_ if b in models.quantity.brands_)


def _sample(shoppers: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """An even sample of people, and the visits a week that each of them stands for."""
    at = np.unique(np.linspace(0, len(shoppers) - 1, min(SHOPPERS, len(shoppers))).astype(int))
    sample = shoppers.iloc[at].reset_index(drop=True)
    weekly = sample["weekly_visits"].to_numpy(dtype=np.float64)
    scale = shoppers["weekly_visits"].sum() / weekly.sum() if weekly.sum() else 1.0
    return sample, weekly * scale


def _repriced(shoppers: pd.DataFrame, brand: str | None, factor: float) -> pd.DataFrame:
    prices = [n for n in shoppers.columns if n.startswith("prices:") and brand in (None, n.removeprefix("prices:"))]
    return of_the_shelf(shoppers.assign(**{name: shoppers[name] * factor for name in prices}))


def _parts(models: Models, shoppers: pd.DataFrame) -> _Parts:
    known = _known_brands(models)
    probability = np.column_stack([predict(models.probability, shoppers), predict_draws(models.probability, shoppers)])
    choice, logit = models.choice.design(shoppers), models.choice.logit_
    at = [list(models.choice.brands_).index(brand) for brand in known]
    share = np.stack([logit.shares(choice, coef)[:, at] for coef in (logit.coef_, *logit.draws_)])
    quantity, glm = models.quantity.design_draws(shoppers), models.quantity.glm_
    at = [list(models.quantity.brands_).index(brand) for brand in known]
    expected = np.exp(np.stack([glm.coef_, *glm.draws_]) @ np.nan_to_num(quantity[:, at]).transpose(0, 2, 1))
    return _Parts(probability.T, share, expected.transpose(1, 0, 2))


def _units(parts: _Parts, visits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 + draws, brands): units of the week."""
    units: NDArray[np.float64] = np.einsum(
        "n,dn,dnb,dnb->db", visits, parts.probability, parts.share, parts.units, optimize=True
    )
    return units


def _week(models: Models, shoppers: pd.DataFrame, visits: NDArray[np.float64]) -> _Week:
    parts = _parts(models, shoppers)
    prices = np.nan_to_num(by_brand(shoppers, "prices", _known_brands(models)))
    money = np.einsum("n,nb,dn,dnb,dnb->db", visits, prices, parts.probability, parts.share, parts.units, optimize=True)
    return _Week(parts.probability @ visits, _units(parts, visits), money)


def _interval(values: NDArray[np.float64]) -> Interval:
    """The estimate stands first, its draws behind it."""
    return Interval.of(values[0], values[1 : DRAWS + 1])
