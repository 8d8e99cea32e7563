"""Which brand a purchase goes to: a conditional logit on all prices, promotions and what the person bought before.

The utility of a brand for a person on a day:

    constant of the brand (0 for the first)
    + coefficient of the brand x log of its price     a coefficient each, so that a brand may answer as it does
    + promotion + bought last time + log of its share in the person's purchases   (loyalty: Guadagni & Little 1983)

and the probability of a brand is exp of its utility over the sum of all: every price is in every probability. With the
price in logs, a brand's own-price elasticity is coefficient x (1 - probability) and that of another brand to its
price -coefficient x probability; both are averaged over purchases, weighted by the probability of the brand that
answers ("sample enumeration", Ben-Akiva & Lerman 1985), so that brands with loyal buyers lose fewer of them.

A brand whose price hardly moved can come out with a positive own-price elasticity. That is no finding about shoppers;
it is flagged wherever it goes.
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
"""Purchases of each brand that a person is credited with before the first."""
MIN_PURCHASES = 10
"""A brand with fewer is nobody's choice yet, and is left out."""
ENUMERATED = 2_000
"""Purchases over which elasticities are averaged: the noise of the mean is then far below that of the coefficients."""


class BrandChoice(BaseEstimator):  # type: ignore[misc]
    """The model, from frames to shares.

    Attributes:
        brands_: the brands that it knows, sorted.
        logit_: the fitted `ConditionalLogit`; `coefficients` names what it holds.
    """

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    def fit(self, visits: pd.DataFrame, y: ArrayLike | None = None) -> Self:
        """Fit on visits that ended in a purchase.

        Args:
            visits: rows of `frames.frame`.
            y: the brands bought; those of the frame when missing.

        Raises:
            RefusedError: with fewer than two brands that were bought often enough.
        """
        bought = np.asarray(visits["brand"] if y is None else y, dtype=object).astype(str)
        names, counts = np.unique(bought, return_counts=True)
        often = {str(name) for name, count in zip(names, counts, strict=True) if count >= MIN_PURCHASES}
        brands = [brand for brand in brands_of(visits) if brand in often]
        if len(brands) < 2:
            raise RefusedError(
                "A choice needs two brands that were bought",
                observed=f"{len(brands)} with {MIN_PURCHASES} purchases or more",
                todo="train on more days",
            )
        self.brands_ = np.array(brands)
        there = np.isin(bought, self.brands_)
        chosen = np.searchsorted(self.brands_, bought[there])
        known = visits[there]
        self.logit_ = ConditionalLogit(self.seed).fit(self.design(known), chosen, known["person"])
        return self

    def design(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """(visits, brands, coefficients): the attributes of each brand at each visit."""
        brands = [str(brand) for brand in self.brands_]
        count = len(brands)
        constants = np.broadcast_to(np.eye(count)[:, 1:], (len(visits), count, count - 1))
        prices = by_brand(visits, "prices", brands)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(prices > 0, np.log(prices), np.nan)
        own = logs[:, :, None] * np.eye(count)
        # Where a brand is missing its whole row is, also in the columns of others, which are 0 times missing.
        own = np.where(np.isfinite(logs)[:, :, None], np.nan_to_num(own), np.nan)
        purchases = np.nan_to_num(by_brand(visits, "brand_purchases", brands))
        share = (purchases + PRIOR) / (purchases.sum(axis=1, keepdims=True) + PRIOR * count)
        last = visits["last_brand"].to_numpy(dtype=object).astype(str)[:, None] == self.brands_[None, :]
        promotions = np.nan_to_num(by_brand(visits, "promotions", brands))
        shared = np.stack([promotions, last.astype(np.float64), np.log(share)], axis=2)
        return np.concatenate([constants, own, shared], axis=2)

    @property
    def coefficients(self) -> tuple[str, ...]:
        """What each coefficient belongs to."""
        brands = [str(brand) for brand in self.brands_]
        return (*(f"constant of {b}" for b in brands[1:]), *(f"log price of {b}" for b in brands), *SHARED)

    def shares(self, visits: pd.DataFrame) -> NDArray[np.float64]:
        """(visits, brands): the probability of each brand, given a purchase; each row adds up to one."""
        return self.logit_.shares(self.design(visits))

    def predict(self, visits: pd.DataFrame) -> NDArray[np.str_]:
        """The likeliest brand of each visit."""
        likeliest: NDArray[np.str_] = self.brands_[self.shares(visits).argmax(axis=1)]
        return likeliest


@dataclass(frozen=True)
class Elasticities:
    """What a change of one per cent in a brand's price does to each brand's share, in per cent.

    Attributes:
        matrix: matrix[answering brand][brand whose price changes].
        wrong: brands whose own-price elasticity came out positive: not to be shown as truth.
    """

    brands: tuple[str, ...]
    matrix: tuple[tuple[Interval, ...], ...]
    wrong: tuple[str, ...]

    def own(self, brand: str) -> Interval:
        """A brand's own-price elasticity."""
        at = self.brands.index(brand)
        return self.matrix[at][at]


def train(visits: pd.DataFrame, *, seed: int) -> BrandChoice:
    """Fit on those of the visits that ended in a purchase.

    Raises:
        RefusedError: with fewer than two brands that were bought often enough.
    """
    return BrandChoice(seed).fit(purchases(visits))


def purchases(visits: pd.DataFrame) -> pd.DataFrame:
    """The visits that ended in a purchase."""
    return visits[(visits["bought"] > 0) & (visits["brand"] != NO_BRAND)].reset_index(drop=True)


def elasticities(model: BrandChoice, visits: pd.DataFrame) -> Elasticities:
    """Own and cross elasticities, averaged over an even sample of purchases, with bootstrap intervals."""
    sample = visits.iloc[np.unique(np.linspace(0, len(visits) - 1, min(ENUMERATED, len(visits))).astype(int))]
    design = model.design(sample)
    value = _averaged(model, design, model.logit_.coef_)
    draws = np.stack([_averaged(model, design, coef) for coef in model.logit_.draws_[:DRAWS]])
    brands = tuple(str(brand) for brand in model.brands_)
    count = len(brands)
    matrix = tuple(
        tuple(Interval.of(value[row, column], draws[:, row, column]) for column in range(count)) for row in range(count)
    )
    wrong = tuple(brand for at, brand in enumerate(brands) if not matrix[at][at].value < 0)
    return Elasticities(brands, matrix, wrong)


def elasticities_by(model: BrandChoice, visits: pd.DataFrame, groups: Mapping[str, str]) -> dict[str, Elasticities]:
    """The same by group of people."""
    group = visits["person"].map(groups)
    return {str(name): elasticities(model, visits[group == name]) for name in sorted(group.dropna().unique())}


def measure(model: BrandChoice, visits: pd.DataFrame) -> dict[str, float]:
    """How good the shares are on purchases.

    Returns:
        accuracy: of the likeliest brand; same_brand_accuracy: of saying "the last one again"; log_loss: of the brand
        that was bought, over the purchases of brands that the model knows.
    """
    bought = visits["brand"].to_numpy(dtype=object).astype(str)
    shares = model.shares(visits)
    known = np.isin(bought, model.brands_)
    at = np.searchsorted(model.brands_, bought[known])
    said = np.clip(shares[known][np.arange(len(at)), at], np.finfo(np.float64).tiny, 1)
    return {
        "accuracy": float(accuracy_score(bought, model.brands_[shares.argmax(axis=1)].astype(str))),
        "same_brand_accuracy": float((visits["last_brand"].to_numpy(dtype=object).astype(str) == bought).mean()),
        "log_loss": float(-np.log(said).mean()),
    }


def inputs(visits: pd.DataFrame) -> list[str]:
    """The columns that the model reads."""
    by = [f"{what}:{brand}" for what in ("prices", "promotions", "brand_purchases") for brand in brands_of(visits)]
    return [*by, "last_brand"]


def baseline(earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    """What saying the brands' shares of the earlier purchases comes to on the later ones; and "the last one again"."""
    then, now = purchases(earlier), purchases(later)
    shares = then["brand"].value_counts(normalize=True)
    said = now["brand"].map(shares).dropna().to_numpy(dtype=np.float64)
    again = (now["last_brand"].to_numpy(dtype=object) == now["brand"].to_numpy(dtype=object)).mean()
    return {"log_loss": float(-np.log(said).mean()), "accuracy": float(again)}


def estimates(model: BrandChoice, visits: pd.DataFrame) -> dict[str, Any]:
    """The coefficients with standard errors, and the elasticities over the training's purchases."""
    found = elasticities(model, purchases(visits))
    return {
        "coefficients": coefficients(model.coefficients, model.logit_.coef_, standard_errors(model.logit_)),
        "elasticities": asdict(found),
    }


def prices_only_accuracy(earlier: pd.DataFrame, later: pd.DataFrame) -> float:
    """What the course's model reaches: a multinomial logit on the prices alone."""
    brands = brands_of(earlier)
    course = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    course.fit(np.nan_to_num(by_brand(earlier, "prices", brands)), earlier["brand"])
    return float(course.score(np.nan_to_num(by_brand(later, "prices", brands)), later["brand"]))


def _averaged(model: BrandChoice, design: NDArray[np.float64], coef: NDArray[np.float64]) -> NDArray[np.float64]:
    count = len(model.brands_)
    shares = model.logit_.shares(design, coef)
    price = coef[count - 1 : 2 * count - 1]
    weighted = shares / shares.sum(axis=0)
    # Of brand j to the price of k: coefficient of k x (1 if j is k, less the probability of k).
    answers: NDArray[np.float64] = price[None, :] * (np.eye(count) - weighted.T @ shares)
    return answers
