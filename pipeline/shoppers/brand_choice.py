"""The brand of a purchase: a conditional logit on all prices, promotions and the person's earlier purchases.

The utility of a brand for a person on a day is the sum of

    the constant of the brand (0 for the first)
    the coefficient of the brand x log of its price    each brand has its own
    coefficient x promotion
    coefficient x bought last time
    coefficient x log of its share in the person's purchases    (loyalty: Guadagni & Little 1983)

The probability of a brand is exp(utility) / the sum of exp(utility) over all brands, so it depends on every price. A
brand's own-price elasticity is coefficient x (1 - probability), and the elasticity of another brand to its price is
-coefficient x probability. Both are averaged over purchases, weighted by the probability of the brand whose share
changes ("sample enumeration", Ben-Akiva & Lerman 1985), so that brands with loyal buyers lose fewer of them.

A brand whose price hardly varied can get a positive own-price elasticity. This says nothing about shoppers, and is
flagged wherever the elasticity is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.errors import RefusedError
from pipeline.shoppers.estimation import DRAWS, ConditionalLogit, Interval, coefficients, standard_errors
from pipeline.shoppers.wide_frame import NO_BRAND, brands_of, by_brand

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

MODEL = "brand_choice"
SHARED = ("promotion", "bought last time", "loyalty")
PRIOR = 0.2
"""Purchases of each brand that are added to every person's own before shares are taken."""
MIN_PURCHASES = 10
"""Purchases that a brand needs; a brand with fewer is left out of the model."""
ELASTICITY_ROWS = 2_000
"""Purchases over which elasticities are averaged, at most; the sampling error is far below that of the coefficients."""


class BrandChoice(BaseEstimator):  # type: ignore[misc]
    """The model: predicts the probability of each brand from rows of `wide_frame.frame`.

    Args:
        seed: of the bootstrap.

    Attributes:
        brands_: (brands,), sorted.
        logit_: the fitted `ConditionalLogit`; `coefficients` names its coefficients.
    """

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    def fit(self, visits: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Fit on visits that ended in a purchase.

        Args:
            visits: rows of `wide_frame.frame`.
            y: (rows,), the brands bought; those of the frame if left out.

        Raises:
            RefusedError: fewer than two brands were bought often enough.
        """
        bought = np.asarray(visits["brand"] if y is None else y, dtype=object).astype(str)
        names, counts = np.unique(bought, return_counts=True)
        frequent = {str(name) for name, count in zip(names, counts, strict=True) if count >= MIN_PURCHASES}
        brands = [brand for brand in brands_of(visits) if brand in frequent]
        if len(brands) < 2:
            raise RefusedError(
                "A model of brand choice needs two brands that were bought often enough",
                observed=f"{len(brands)} brands with {MIN_PURCHASES} purchases or more",
                allowed="2 brands or more",
                todo="train on more days",
            )
        self.brands_ = np.array(brands)
        is_known = np.isin(bought, self.brands_)
        chosen = np.searchsorted(self.brands_, bought[is_known])
        known = visits[is_known]
        self.logit_ = ConditionalLogit(self.seed).fit(self.design(known), chosen, known["person"])
        return self

    def design(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """Return the attributes of each brand, (visits, brands, coefficients); NaN if it is not on the shelf."""
        brands = [str(brand) for brand in self.brands_]
        count = len(brands)
        constants = np.broadcast_to(np.eye(count)[:, 1:], (len(visits), count, count - 1))
        prices = by_brand(visits, "prices", brands)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(prices > 0, np.log(prices), np.nan)
        own = logs[:, :, None] * np.eye(count)
        # If a brand is not on the shelf, its whole row is NaN, including the columns of other brands' prices.
        own = np.where(np.isfinite(logs)[:, :, None], np.nan_to_num(own), np.nan)
        purchases = np.nan_to_num(by_brand(visits, "brand_purchases", brands))
        share = (purchases + PRIOR) / (purchases.sum(axis=1, keepdims=True) + PRIOR * count)
        last = visits["last_brand"].to_numpy(dtype=object).astype(str)[:, None] == self.brands_[None, :]
        promotions = np.nan_to_num(by_brand(visits, "promotions", brands))
        shared = np.stack([promotions, last.astype(np.float64), np.log(share)], axis=2)
        return np.concatenate([constants, own, shared], axis=2)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Return the names of the coefficients."""
        brands = [str(brand) for brand in self.brands_]
        return (*(f"constant of {b}" for b in brands[1:]), *(f"log price of {b}" for b in brands), *SHARED)

    def shares(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """Return the probability of each brand given a purchase, (visits, brands); each row adds up to one."""
        return self.logit_.shares(self.design(visits))

    def predict(self, visits: pd.DataFrame) -> NDArray[np.str_]:
        """Return the most probable brand of each visit, (visits,)."""
        brands: NDArray[np.str_] = self.brands_[self.shares(visits).argmax(axis=1)]
        return brands


@dataclass(frozen=True)
class Elasticities:
    """By how many per cent each brand's share changes if a brand's price rises by one per cent.

    Attributes:
        brands: sorted.
        matrix: matrix[i][j] is the elasticity of the share of brand i to the price of brand j.
        wrong: brands whose own-price elasticity is positive, which is not credible.
    """

    brands: tuple[str, ...]
    matrix: tuple[tuple[Interval, ...], ...]
    wrong: tuple[str, ...]

    def own(self, brand: str) -> Interval:
        """Return a brand's own-price elasticity."""
        at = self.brands.index(brand)
        return self.matrix[at][at]


def train(visits: pd.DataFrame, *, seed: int) -> BrandChoice:
    """Fit on the visits that ended in a purchase.

    Raises:
        RefusedError: fewer than two brands were bought often enough.
    """
    return BrandChoice(seed).fit(purchases(visits))


def purchases(visits: pd.DataFrame) -> pd.DataFrame:
    """Return the visits that ended in a purchase."""
    return visits[(visits["bought"] > 0) & (visits["brand"] != NO_BRAND)].reset_index(drop=True)


def elasticities(model: BrandChoice, visits: pd.DataFrame) -> Elasticities:
    """Return own-price and cross-price elasticities with 95 % bootstrap intervals.

    Args:
        model: the fitted model.
        visits: visits that ended in a purchase; elasticities are averaged over an evenly spaced sample of them.
    """
    sample = visits.iloc[np.unique(np.linspace(0, len(visits) - 1, min(ELASTICITY_ROWS, len(visits))).astype(int))]
    design = model.design(sample)
    value = _mean_elasticities(model, design, model.logit_.coef_)
    draws = np.stack([_mean_elasticities(model, design, coef) for coef in model.logit_.draws_[:DRAWS]])
    brands = tuple(str(brand) for brand in model.brands_)
    count = len(brands)
    matrix = tuple(
        tuple(Interval.of(value[row, column], draws[:, row, column]) for column in range(count)) for row in range(count)
    )
    wrong = tuple(brand for at, brand in enumerate(brands) if not matrix[at][at].value < 0)
    return Elasticities(brands, matrix, wrong)


def elasticities_by(model: BrandChoice, visits: pd.DataFrame, groups: Mapping[str, str]) -> dict[str, Elasticities]:
    """Return the elasticities of each group of people.

    Args:
        model: the fitted model.
        visits: visits that ended in a purchase.
        groups: person -> group, of the people who are in one.
    """
    group = visits["person"].map(groups)
    return {str(name): elasticities(model, visits[group == name]) for name in sorted(group.dropna().unique())}


def measure(model: BrandChoice, visits: pd.DataFrame) -> dict[str, float]:
    """Measure the model on purchases.

    Returns:
        accuracy: fraction of the purchases whose most probable brand was bought.
        same_brand_accuracy: fraction of the purchases that went to the person's last brand.
        log_loss: mean of -log(probability of the brand bought), over purchases of brands that the model knows.
    """
    bought = visits["brand"].to_numpy(dtype=object).astype(str)
    shares = model.shares(visits)
    known = np.isin(bought, model.brands_)
    at = np.searchsorted(model.brands_, bought[known])
    predicted = np.clip(shares[known][np.arange(len(at)), at], np.finfo(np.float64).tiny, 1)
    return {
        "accuracy": float(accuracy_score(bought, model.brands_[shares.argmax(axis=1)].astype(str))),
        "same_brand_accuracy": float((visits["last_brand"].to_numpy(dtype=object).astype(str) == bought).mean()),
        "log_loss": float(-np.log(predicted).mean()),
    }


def inputs(visits: pd.DataFrame) -> list[str]:
    """Return the columns that the model reads."""
    by = [f"{what}:{brand}" for what in ("prices", "promotions", "brand_purchases") for brand in brands_of(visits)]
    return [*by, "last_brand"]


def baseline(earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    """Measure naive predictions of the later purchases: log_loss of the earlier shares, accuracy of the last brand."""
    train_rows, test_rows = purchases(earlier), purchases(later)
    shares = train_rows["brand"].value_counts(normalize=True)
    predicted = test_rows["brand"].map(shares).dropna().to_numpy(dtype=np.float64)
    repeated = (test_rows["last_brand"].to_numpy(dtype=object) == test_rows["brand"].to_numpy(dtype=object)).mean()
    return {"log_loss": float(-np.log(predicted).mean()), "accuracy": float(repeated)}


def estimates(model: BrandChoice, visits: pd.DataFrame) -> dict[str, Any]:
    """Return the coefficients with standard errors, and the elasticities over the training's purchases."""
    return {
        "coefficients": coefficients(model.coefficients, model.logit_.coef_, standard_errors(model.logit_)),
        "elasticities": asdict(elasticities(model, purchases(visits))),
    }


def prices_only_accuracy(earlier: pd.DataFrame, later: pd.DataFrame) -> float:
    """Return the accuracy of the published course's model, a multinomial logit on the prices alone."""
    brands = brands_of(earlier)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    model.fit(np.nan_to_num(by_brand(earlier, "prices", brands)), earlier["brand"])
    return float(model.score(np.nan_to_num(by_brand(later, "prices", brands)), later["brand"]))


def _mean_elasticities(
    model: BrandChoice, design: NDArray[np.float64], coef: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean elasticity of each brand's share to each brand's price, (brands, brands)."""
    count = len(model.brands_)
    shares = model.logit_.shares(design, coef)
    price = coef[count - 1 : 2 * count - 1]
    weighted = shares / shares.sum(axis=0)
    # Of the share of j to the price of k: coefficient of k x ((1 if j is k else 0) - probability of k).
    elasticities: NDArray[np.float64] = price[None, :] * (np.eye(count) - weighted.T @ shares)
    return elasticities
