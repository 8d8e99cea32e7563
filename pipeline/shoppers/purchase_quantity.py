"""The units of a purchase: a Poisson regression with a log link (Santos Silva & Tenreyro 2006).

The published course regresses units on price and promotion, which explains one per cent of the variance. How much
people buy depends mostly on who they are, so this model has further columns, all as of the visit:

    log price of the brand, and whether it is promoted
    log of the person's mean units per purchase, shrunk by one purchase of the training's mean
    log of the person's mean units per purchase of the brand, shrunk by one purchase of the person's mean
    log odds of the person's purchase rate, because those who buy often buy less at a time
    the brand

With logarithms on both sides the coefficient of the price is the price elasticity of quantity, and effects multiply:
those who buy twice as much respond to a promotion with twice as many units.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression

from pipeline.errors import RefusedError
from pipeline.shoppers.brand_choice import MIN_PURCHASES, purchases
from pipeline.shoppers.estimation import Glm, Interval, coefficients, standard_errors
from pipeline.shoppers.wide_frame import brands_of, by_brand
from pipeline.training.metrics import regression_metrics

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

MODEL = "purchase_quantity"
COLUMNS = ("log price", "promotion", "log units", "log units of the brand", "log odds of buying")


class PurchaseQuantity(BaseEstimator):  # type: ignore[misc]
    """The model: predicts the units of a purchase from rows of `wide_frame.frame`.

    Args:
        seed: of the bootstrap.

    Attributes:
        brands_: (brands,), sorted; the first is the reference of the brand coefficients.
        prior_: mean units per purchase of the training.
        glm_: the fitted `Glm`; `coefficients` names its coefficients.
    """

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    def fit(self, visits: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Fit on visits that ended in a purchase.

        Args:
            visits: rows of `wide_frame.frame`.
            y: (rows,), the units bought; those of the frame if left out.

        Raises:
            RefusedError: no brand was bought often enough, or the units never vary.
        """
        bought = visits["brand"].to_numpy(dtype=object).astype(str)
        names, counts = np.unique(bought, return_counts=True)
        frequent = {str(name) for name, count in zip(names, counts, strict=True) if count >= MIN_PURCHASES}
        self.brands_ = np.array([brand for brand in brands_of(visits) if brand in frequent])
        if not len(self.brands_):
            raise RefusedError(
                "No brand was bought often enough to predict units",
                observed=f"{len(visits)} purchases",
                allowed=f"{MIN_PURCHASES} purchases of one brand or more",
                todo="train on more days",
            )
        units = np.asarray(visits["quantity"] if y is None else y, dtype=np.float64)
        self.prior_ = np.array(units.mean())
        known = np.isin(bought, self.brands_)
        design = self._design(visits)[known, np.searchsorted(self.brands_, bought[known])]
        self.glm_ = Glm("poisson", self.seed).fit(design, units[known], visits["person"][known])
        return self

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Return the names of the coefficients."""
        return ("constant", *COLUMNS, *(f"brand {brand}" for brand in self.brands_[1:]))

    def units(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """Return the expected units if the visit ends in a purchase of each brand, (visits, brands); NaN if unknown."""
        design = self._design(visits)
        known = np.isfinite(design).all(axis=2)
        flat = np.nan_to_num(design).reshape(-1, design.shape[2])
        return np.where(known, self.glm_.mean(flat).reshape(design.shape[:2]), np.nan)

    def predict(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """Return the expected units of the brand in column `brand`, (visits,); the training's mean if it is unknown."""
        bought = visits["brand"].to_numpy(dtype=object).astype(str)
        at = np.searchsorted(self.brands_, bought).clip(max=len(self.brands_) - 1)
        units = self.units(visits)[np.arange(len(at)), at]
        return np.where(np.isin(bought, self.brands_) & np.isfinite(units), units, float(self.prior_))

    def design_draws(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """Return the design matrix of `units` with the intercept first, (visits, brands, coefficients).

        It serves to compute expected units with other coefficients, such as bootstrap replicates.
        """
        design = self._design(visits)
        return np.concatenate([np.ones((*design.shape[:2], 1)), design], axis=2)

    def elasticity(self) -> Interval:
        """Return the price elasticity of quantity."""
        return Interval.of(self.glm_.coef_[1], self.glm_.draws_[:, 1])

    def _design(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """Return the columns of each brand as if it were bought, (visits, brands, columns); NaN if not on the shelf."""
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
    """Fit on the visits that ended in a purchase.

    Raises:
        RefusedError: no brand was bought often enough, or the units never vary.
    """
    return PurchaseQuantity(seed).fit(purchases(visits))


def measure(model: PurchaseQuantity, visits: pd.DataFrame) -> dict[str, float]:
    """Return r2 and rmse (units) of the model on purchases."""
    metrics = regression_metrics(visits["quantity"], model.predict(visits))
    return {name: metrics[name] for name in ("r2", "rmse")}


def inputs(visits: pd.DataFrame) -> list[str]:
    """Return the columns that the model reads."""
    by = ("prices", "promotions", "brand_purchases", "brand_units")
    return [
        *(f"{what}:{brand}" for what in by for brand in brands_of(visits)),
        *("brand", "purchases", "units", "purchase_rate"),
    ]


def baseline(earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    """Return the rmse (units) of predicting the mean units of the earlier purchases for the later ones."""
    mean, units = purchases(earlier)["quantity"].mean(), purchases(later)["quantity"]
    return {"rmse": regression_metrics(units, np.full(len(units), mean))["rmse"]}


def estimates(model: PurchaseQuantity, visits: pd.DataFrame) -> dict[str, Any]:  # noqa: ARG001 (the signature of all visit models)
    """Return the coefficients with standard errors, and the price elasticity of quantity."""
    return {
        "coefficients": coefficients(model.coefficients, model.glm_.coef_, standard_errors(model.glm_)),
        "elasticity": asdict(model.elasticity()),
    }


def price_only_r2(earlier: pd.DataFrame, later: pd.DataFrame) -> float:
    """Return R² of the published course's model, a linear regression on price and promotion of the brand bought."""
    model = LinearRegression().fit(_price_and_promotion(earlier), earlier["quantity"])
    return float(model.score(_price_and_promotion(later), later["quantity"]))


def _price_and_promotion(visits: pd.DataFrame) -> NDArray[np.float64]:
    brands = brands_of(visits)
    at = np.searchsorted(brands, visits["brand"].to_numpy(dtype=object).astype(str))
    rows = np.arange(len(visits))
    return np.column_stack(
        [by_brand(visits, "prices", brands)[rows, at], by_brand(visits, "promotions", brands)[rows, at]]
    )
