"""How many units a purchase takes: a Poisson regression with a log link (Santos Silva & Tenreyro 2006).

The course regresses units on price and promotion and explains one per cent of them. How much people take home is
mostly a matter of who they are, so here stand beside log price and promotion, all as of the visit:

    log of the person's mean units a purchase, credited with one purchase of the training's mean
    log of the same for the brand, credited with one purchase of the person's mean
    log odds of the purchase rate: who buys often takes less
    the brand

With logs on both sides the coefficient of the price is the price elasticity of quantity, and effects multiply: who
takes twice as much answers to a promotion with twice as many units.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error, r2_score

from pipeline.errors import RefusedError
from pipeline.shoppers.brand_choice import MIN_PURCHASES, purchases
from pipeline.shoppers.estimation import Glm, Interval, coefficients, standard_errors
from pipeline.shoppers.wide_frame import brands_of, by_brand

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

MODEL = "purchase_quantity"
COLUMNS = ("log price", "promotion", "log units", "log units of the brand", "log odds of buying")


class PurchaseQuantity(BaseEstimator):  # type: ignore[misc]
    """The model, from frames to units.

    Attributes:
        brands_: the brands that it knows, sorted; the first is the one the others are compared with.
        prior_: mean units a purchase of the training.
        glm_: the fitted `Glm`; `coefficients` names what it holds.
    """

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    def fit(self, visits: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Fit on visits that ended in a purchase.

        Args:
            visits: rows of `frames.frame`.
            y: the units bought; those of the frame when missing.

        Raises:
            RefusedError: without brands that were bought often enough, or with units that never vary.
        """
        bought = visits["brand"].to_numpy(dtype=object).astype(str)
        names, counts = np.unique(bought, return_counts=True)
        often = {str(name) for name, count in zip(names, counts, strict=True) if count >= MIN_PURCHASES}
        self.brands_ = np.array([brand for brand in brands_of(visits) if brand in often])
        if not len(self.brands_):
            raise RefusedError(
                "No brand was bought often enough to tell how many units people take",
                observed=f"{len(visits)} purchases",
                allowed=f"{MIN_PURCHASES} of one brand",
                todo="train on more days",
            )
        units = np.asarray(visits["quantity"] if y is None else y, dtype=np.float64)
        self.prior_ = np.array(units.mean())
        there = np.isin(bought, self.brands_)
        design = self._design(visits)[there, np.searchsorted(self.brands_, bought[there])]
        self.glm_ = Glm("poisson", self.seed).fit(design, units[there], visits["person"][there])
        return self

    @property
    def coefficients(self) -> tuple[str, ...]:
        """What each coefficient belongs to."""
        return ("constant", *COLUMNS, *(f"brand {brand}" for brand in self.brands_[1:]))

    def units(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """(visits, brands): the units expected if the visit ends in a purchase of each brand."""
        design = self._design(visits)
        there = np.isfinite(design).all(axis=2)
        flat = np.nan_to_num(design).reshape(-1, design.shape[2])
        return np.where(there, self.glm_.mean(flat).reshape(design.shape[:2]), np.nan)

    def predict(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """The units expected of the brand that each visit bought; of a brand that is not known, the mean of all."""
        bought = visits["brand"].to_numpy(dtype=object).astype(str)
        at = np.searchsorted(self.brands_, bought).clip(max=len(self.brands_) - 1)
        known = self.units(visits)[np.arange(len(at)), at]
        return np.where(np.isin(bought, self.brands_) & np.isfinite(known), known, float(self.prior_))

    def design_draws(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """(visits, brands, coefficients): the rows behind `units`, intercept first, for other coefficients."""
        design = self._design(visits)
        return np.concatenate([np.ones((*design.shape[:2], 1)), design], axis=2)

    def elasticity(self) -> Interval:
        """The price elasticity of quantity."""
        return Interval.of(self.glm_.coef_[1], self.glm_.draws_[:, 1])

    def _design(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """(visits, brands, columns): the row of each brand as if it were bought; NaN where it is not on the shelf."""
        brands = [str(brand) for brand in self.brands_]
        rows, count = len(visits), len(brands)
        prices = by_brand(visits, "prices", brands)
        with np.errstate(invalid="ignore", divide="ignore"):
            price = np.where(prices > 0, np.log(prices), np.nan)
        prior = float(self.prior_)
        person = (visits["units"].to_numpy() + prior) / (visits["purchases"].to_numpy() + 1)
        of_brand = np.nan_to_num(by_brand(visits, "brand_units", brands)) + person[:, None]
        of_brand /= np.nan_to_num(by_brand(visits, "brand_purchases", brands)) + 1
        rate = visits["purchase_rate"].to_numpy()
        columns = [
            price,
            np.nan_to_num(by_brand(visits, "promotions", brands)),
            np.broadcast_to(np.log(person)[:, None], (rows, count)),
            np.log(of_brand),
            np.broadcast_to(np.log(rate / (1 - rate))[:, None], (rows, count)),
        ]
        constants = np.broadcast_to(np.eye(count)[:, 1:], (rows, count, count - 1))
        return np.concatenate([np.stack(columns, axis=2), constants], axis=2)


def train(visits: pd.DataFrame, *, seed: int) -> PurchaseQuantity:
    """Fit on those of the visits that ended in a purchase.

    Raises:
        RefusedError: without brands that were bought often enough.
    """
    return PurchaseQuantity(seed).fit(purchases(visits))


def measure(model: PurchaseQuantity, visits: pd.DataFrame) -> dict[str, float]:
    """How good the units are on purchases: r2 and rmse (units)."""
    units, said = visits["quantity"].to_numpy(dtype=np.float64), model.predict(visits)
    return {"r2": float(r2_score(units, said)), "rmse": float(mean_squared_error(units, said) ** 0.5)}


def inputs(visits: pd.DataFrame) -> list[str]:
    """The columns that the model reads."""
    by = ("prices", "promotions", "brand_purchases", "brand_units")
    return [
        *(f"{what}:{brand}" for what in by for brand in brands_of(visits)),
        *("brand", "purchases", "units", "purchase_rate"),
    ]


def baseline(earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    """What saying the mean units of the earlier purchases comes to on the later ones."""
    mean, units = purchases(earlier)["quantity"].mean(), purchases(later)["quantity"]
    return {"rmse": float(((units - mean) ** 2).mean() ** 0.5)}


def estimates(model: PurchaseQuantity, visits: pd.DataFrame) -> dict[str, Any]:  # noqa: ARG001 (as of its siblings)
    """The coefficients with standard errors, and the price elasticity of quantity."""
    return {
        "coefficients": coefficients(model.coefficients, model.glm_.coef_, standard_errors(model.glm_)),
        "elasticity": asdict(model.elasticity()),
    }


def course_r2(earlier: pd.DataFrame, later: pd.DataFrame) -> float:
    """What the course's model reaches: a linear regression on the price and promotion of the brand that was bought."""
    model = LinearRegression().fit(_price_paid(earlier), earlier["quantity"])
    return float(model.score(_price_paid(later), later["quantity"]))


def _price_paid(visits: pd.DataFrame) -> NDArray[np.float64]:
    brands = brands_of(visits)
    at = np.searchsorted(brands, visits["brand"].to_numpy(dtype=object).astype(str))
    rows = np.arange(len(visits))
    return np.column_stack(
        [by_brand(visits, "prices", brands)[rows, at], by_brand(visits, "promotions", brands)[rows, at]]
    )
