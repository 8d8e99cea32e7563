"""The blend: a gradient-boosted model of whether a customer buys a candidate product, fitted on earlier windows.

Its inputs are what the other recommenders know of a customer and a product. What it learned is how to weigh them, which
changes slowly; popularity, similarities and purchases are computed anew each night from what is known that day, so a
product that is new this week can be recommended next week without a training.

Candidates of a customer are the bought products, the best by EASE, and the most popular lately.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
from sklearn.linear_model import LogisticRegression

from pipeline.customers.recommendations.methods import NOTHING, Candidates, batches, highest, pair_of
from pipeline.customers.recommendations.neighbours import ease, neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import scipy.sparse as sp
    from numpy.typing import NDArray

    from pipeline.customers.recommendations.methods import Scorer
    from pipeline.customers.recommendations.past import Past

FROM_EASE = FROM_POPULAR = 100
"""Candidates from each of these; those that the customer has bought come on top."""
FADING_DAYS = 180
"""In EASE on recent purchases, a product last bought this long ago counts e times less."""
COLUMNS = (
    "purchases", "last_days", "decayed", "share_of_invoices", "days_before_last_invoice",
    "ease", "ease_recent", "neighbours",
    "popular_7", "popular_30", "popular_90", "popular", "trend", "product_age", "product_last_days", "price",
    "rebought", "relative_price",
    "invoices", "recency_days", "customer_age", "products", "basket", "customer_rebuys",
)  # fmt: skip
CUSTOMER_FEATURES = ("recency_days", "invoices", "distinct_products")
"""Columns of `customer_features` from which the chance of a hit is computed."""
MIN_ROWS_FOR_TWO_THREADS = 1_000_000
"""With fewer rows a second thread saves little; on busy cores waiting for it takes ten times as long as the work."""
ROUNDS = 200
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 12,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class Blend:
    """The fitted model; the names of its attributes are part of saved models.

    Attributes:
        booster: from `COLUMNS` of a candidate to the chance that the customer buys it.
        chance: from the logarithms of `CUSTOMER_FEATURES` to the chance that the customer buys anything of the list.
    """

    booster: lightgbm.Booster
    chance: LogisticRegression

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """(rows,), the chance that a customer buys at least one product of the list within the horizon."""
        found: NDArray[np.float64] = self.chance.predict_proba(_logs(features))[:, 1]
        return found

    def scorer(self, past: Past, threads: int = 1) -> Scorer:
        """Score candidates of the customers of a past."""
        return self.scorer_of(self.booster, past, threads)

    @staticmethod
    def scorer_of(booster: lightgbm.Booster, past: Past, threads: int) -> Scorer:
        """Score with a booster that is not part of a model yet."""
        known = Known(past)

        def score(first: int, last: int) -> Candidates:
            customer, product, features = known.candidates(np.arange(first, last))
            predicted = booster.predict(features, num_threads=_threads(threads, len(features)))
            return Candidates(customer, product, np.asarray(predicted, dtype=np.float64))

        return score


class Known:
    """What is computed once from a past: weights of EASE, neighbours, popularity.

    Args:
        past: what was bought.
    """

    def __init__(self, past: Past) -> None:
        self._past = past
        self._bought, recent = past.matrix(), np.exp(-past.pairs["last_days"] / FADING_DAYS)
        self._ease = ease(self._bought)
        self._recent = past.matrix(recent)
        self._neighbours = neighbours(self._bought)
        self._popular = np.argsort(-past.popular_lately, kind="stable")[:FROM_POPULAR]
        self._column = np.full(len(past.products), NOTHING)
        self._column[self._ease.products] = np.arange(len(self._ease.products))

    def candidates(
        self, customers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The candidates of some customers.

        Args:
            customers: their positions, ascending.

        Returns:
            Customer and product of each candidate, in that order, and its features, (candidates, `COLUMNS`).
        """
        width = np.int64(len(self._past.products))
        bought, recently = self._bought[customers], self._recent[customers]
        plain = bought[:, self._ease.products] @ self._ease.weights
        recent = recently[:, self._ease.products] @ self._ease.weights
        own, alike = bought.tocoo(), highest(recent, self._ease, 0, FROM_EASE)
        everyone = np.arange(len(customers), dtype=np.int64)
        keys = np.unique(
            np.concatenate(
                [
                    own.row * width + own.col,
                    alike.customer * width + alike.product,
                    (everyone[:, None] * width + self._popular[None, :]).ravel(),
                ]
            )
        )
        row, product = keys // width, keys % width
        customer = customers[row]
        column = self._column[product]
        near = (recently @ self._neighbours).tocsr()
        similarity = {
            "ease": np.where(column == NOTHING, 0, plain[row, np.maximum(column, 0)]),
            "ease_recent": np.where(column == NOTHING, 0, recent[row, np.maximum(column, 0)]),
            "neighbours": _at(near, row, product),
        }
        columns = similarity | self._of_pairs(customer, product)
        columns |= {name: values[product] for name, values in self._of_products.items()}
        columns |= {name: values[customer] for name, values in self._of_customers.items()}
        columns["relative_price"] = columns["price"] / self._usual_price[customer]
        return customer, product, np.column_stack([columns[name].astype(np.float32) for name in COLUMNS])

    def _of_pairs(self, customer: NDArray[np.int64], product: NDArray[np.int64]) -> dict[str, NDArray[np.floating]]:
        past = self._past
        at = pair_of(past, customer, product)
        bought, at = at != NOTHING, np.maximum(at, 0)
        purchases = np.where(bought, past.pairs["purchases"][at], 0)
        last = np.where(bought, past.pairs["last_days"][at], np.nan)
        return {
            "purchases": purchases,
            "last_days": last,
            "decayed": np.where(bought, past.pairs["decayed"][at], 0),
            "share_of_invoices": purchases / past.invoices[customer],
            "days_before_last_invoice": last - past.last_days[customer],
        }

    @cached_property
    def _of_products(self) -> dict[str, NDArray[np.float64]]:
        past = self._past
        lately = {days: past.by_product(past.pairs[f"recent_{days}"]) for days in (7, 30, 60, 90)}
        first, last = np.zeros(len(past.products)), np.full(len(past.products), np.inf)
        np.maximum.at(first, past.product, past.pairs["first_days"])
        np.minimum.at(last, past.product, past.pairs["last_days"])
        again = past.by_product((past.pairs["purchases"] > 1).astype(np.float32))
        return {
            **{f"popular_{days}": lately[days] / max(1.0, lately[days].max()) for days in (7, 30, 90)},
            "popular": past.by_product(past.pairs["purchases"]) / past.by_product(past.pairs["purchases"]).max(),
            # Compared with the 30 days before the last 30.
            "trend": lately[30] / (lately[60] - lately[30] + 5),
            "product_age": first,
            "product_last_days": last,
            "price": past.by_product(past.pairs["price"]) / np.maximum(past.buyers, 1),
            "rebought": (again + 2) / (past.buyers + 10),
        }

    @cached_property
    def _of_customers(self) -> dict[str, NDArray[np.floating]]:
        past = self._past
        again = past.by_customer((past.pairs["purchases"] > 1).astype(np.float32))
        products = past.by_customer()
        return {
            "invoices": past.invoices,
            "recency_days": past.last_days,
            "customer_age": past.first_days,
            "products": products,
            "basket": products / past.invoices,
            "customer_rebuys": (again + 1) / (products + 5),
        }

    @cached_property
    def _usual_price(self) -> NDArray[np.float64]:
        """(customers,), the mean price of what each customer buys; at least a hundredth."""
        past = self._past
        mean: NDArray[np.float64] = past.by_customer(past.pairs["price"]) / past.by_customer()
        return np.maximum(mean, 0.01)


def fit_booster(windows: Sequence[tuple[Past, sp.csr_matrix]], *, seed: int, threads: int) -> lightgbm.Booster:
    """Fit the blend on earlier windows.

    Args:
        windows: what was known on the first day of each, and what was bought in it, (customers, products).
        seed: of the sampling of rows and columns.
        threads: of the fit; they do not change the result.
    """
    features, outcomes = [], []
    for past, bought in windows:
        known = Known(past)
        # Customers who bought nothing in the window tell nothing about which product they prefer.
        active = np.flatnonzero(np.diff(bought.indptr))
        for first, last in batches(past, len(active)):
            customer, product, rows = known.candidates(active[first:last])
            features.append(rows)
            outcomes.append(_at(bought, customer, product))
    data = lightgbm.Dataset(np.concatenate(features), np.concatenate(outcomes), feature_name=list(COLUMNS))
    parameters = PARAMETERS | {"seed": seed, "num_threads": _threads(threads, sum(map(len, outcomes)))}
    return lightgbm.train(parameters, data, ROUNDS)


def fit_chance(past: Past, hit: NDArray[np.bool_]) -> LogisticRegression:
    """Fit the chance that a customer buys at least one product of the list.

    Args:
        past: what was known.
        hit: (customers,), whether that happened.
    """
    logs = np.log1p(np.column_stack([past.last_days, past.invoices, past.by_customer()]))
    return LogisticRegression().fit(logs, hit.astype(np.int64))


def _threads(threads: int, rows: int) -> int:
    return threads if rows >= MIN_ROWS_FOR_TWO_THREADS else 1


def _logs(features: pd.DataFrame) -> NDArray[np.float64]:
    values: NDArray[np.float64] = features[list(CUSTOMER_FEATURES)].to_numpy(dtype=np.float64)
    return np.log1p(values)


def _at(matrix: sp.csr_matrix, row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.float64]:
    """The values of a sparse matrix at these places; 0 where it holds none."""
    return np.asarray(matrix[row, column], dtype=np.float64).ravel()
