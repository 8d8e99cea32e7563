"""The one interface of recommenders, and the simple ones: popular, of the segment, frequency, neighbours, EASE.

A recommender learns from a `Past` and then scores candidate products of a range of customers. Customers are scored in
batches, and only candidates are ever held, so memory does not grow with the number of customers times products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from pipeline.customers.recommendations.neighbours import MAX_PRODUCTS, Ease, best, ease, neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.customers.recommendations.past import Past

TOP = 200
"""Candidates that a recommender gives each customer."""
BATCH_CELLS = 20_000_000
"""Customers times products of the largest dense matrix in a batch: 80 MB."""
NOTHING = -1
"""Fills a list that is shorter than it might be."""

Kind = Literal["all", "again", "new"]
"""Which products a list may hold: any, those that the customer has bought, or those that the customer has not."""


@dataclass(frozen=True)
class Candidates:
    """Products that may be recommended, in no particular order.

    Attributes:
        customer, product: (candidates,), positions in the past.
        score: (candidates,), higher is better within a customer.
    """

    customer: NDArray[np.int64]
    product: NDArray[np.int64]
    score: NDArray[np.float64]


Scorer = Callable[[int, int], Candidates]
"""From the first customer and the one after the last to their candidates."""
Recommender = Callable[["Past"], Scorer]
"""Learns from a past."""


Lists = tuple["NDArray[np.int64]", "NDArray[np.float64]"]
"""(customers, k) positions of products, best first, `NOTHING` where there are fewer; and their scores."""


def recommend(past: Past, scorer: Scorer, kinds: Sequence[Kind], k: int) -> dict[Kind, NDArray[np.int64]]:
    """The best products of each customer, a list of each kind: (customers, k), see `Lists`."""
    return {kind: products for kind, (products, _) in recommend_scored(past, scorer, kinds, k).items()}


def recommend_scored(past: Past, scorer: Scorer, kinds: Sequence[Kind], k: int) -> dict[Kind, Lists]:
    """The best products of each customer with their scores, a list of each kind.

    Equal scores are in the order of the products.
    """
    shape = (len(past.customers), k)
    lists = {kind: (np.full(shape, NOTHING, dtype=np.int64), np.zeros(shape)) for kind in kinds}
    for first, last in batches(past, len(past.customers)):
        found = scorer(first, last)
        bought = pair_of(past, found.customer, found.product) != NOTHING
        for kind, (products, scores) in lists.items():
            kept = np.ones(len(bought), dtype=bool) if kind == "all" else bought if kind == "again" else ~bought
            customer, product, score = found.customer[kept], found.product[kept], found.score[kept]
            chosen = best(customer, score, k, product)
            whose = customer[chosen]
            rank = np.arange(len(chosen)) - np.searchsorted(whose, whose)
            products[whose, rank], scores[whose, rank] = product[chosen], score[chosen]
    return lists


def batches(past: Past, customers: int) -> Iterator[tuple[int, int]]:
    """Ranges of so many customers, each small enough to be scored at once."""
    size = max(1, BATCH_CELLS // max(MAX_PRODUCTS, len(past.products) // 10))
    for first in range(0, customers, size):
        yield first, min(first + size, customers)


def pair_of(past: Past, customer: NDArray[np.int64], product: NDArray[np.int64]) -> NDArray[np.int64]:
    """The position of each pair of a customer and a product in the past; `NOTHING` where it was not bought."""
    if not len(customer):
        return np.zeros(0, dtype=np.int64)
    low, high = past.starts[customer.min()], past.starts[customer.max() + 1]
    width = np.int64(len(past.products))
    known = past.customer[low:high] * width + past.product[low:high]
    wanted = customer * width + product
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at + low, NOTHING)


def popular(past: Past) -> Scorer:
    """What most customers bought."""
    return _same_for_all(past.buyers)


def popular_lately(past: Past) -> Scorer:
    """What was on most invoices in the last 30 days."""
    return _same_for_all(past.popular_lately)


def frequency(past: Past) -> Scorer:
    """What the customer bought most often; the more popular product on a tie, and after the last of them."""
    tie = past.buyers / (1 + past.buyers.max())
    everyone = _same_for_all(tie)

    def scorer(first: int, last: int) -> Candidates:
        own = slice(past.starts[first], past.starts[last])
        customer, product = past.customer[own].astype(np.int64), past.product[own].astype(np.int64)
        rest = everyone(first, last)
        other = pair_of(past, rest.customer, rest.product) == NOTHING
        return Candidates(
            np.concatenate([customer, rest.customer[other]]),
            np.concatenate([product, rest.product[other]]),
            np.concatenate([past.pairs["purchases"][own] + tie[product], rest.score[other]]),
        )

    return scorer


def best_of_group(past: Past, group: NDArray[np.int64]) -> Scorer:
    """What most customers of the same group bought, as of a segment.

    Args:
        past: what was bought.
        group: (customers,), the number of each customer's group.
    """
    count, width = int(group.max()) + 1, len(past.products)
    buyers = np.bincount(group[past.customer] * width + past.product, minlength=count * width).reshape(count, width)
    top = np.argsort(-buyers, axis=1, kind="stable")[:, :TOP]

    def scorer(first: int, last: int) -> Candidates:
        product = top[group[first:last]]
        mine = np.repeat(np.arange(first, last), product.shape[1])
        score = buyers[np.repeat(group[first:last], product.shape[1]), product.ravel()].astype(np.float64)
        return Candidates(mine, product.ravel(), score)

    return scorer


def similar(past: Past) -> Scorer:
    """The neighbours of what the customer bought, bought products included."""
    bought, near = past.matrix(), neighbours(past.matrix())

    def scorer(first: int, last: int) -> Candidates:
        found = (bought[first:last] @ near).tocoo()
        kept = best(found.row, found.data, 2 * TOP, found.col)
        return Candidates(found.row[kept].astype(np.int64) + first, found.col[kept].astype(np.int64), found.data[kept])

    return scorer


def linear_autoencoder(past: Past) -> Scorer:
    """EASE on what the customer bought."""
    bought = past.matrix()
    model = ease(bought)
    known = bought[:, model.products]

    def scorer(first: int, last: int) -> Candidates:
        return highest(known[first:last] @ model.weights, model, first, 2 * TOP)

    return scorer


def highest(scores: NDArray[np.float32], model: Ease, first: int, at_most: int) -> Candidates:
    """The highest scores of each row of EASE's scores, as candidates of the customers from `first` on."""
    n = min(at_most, scores.shape[1])
    columns = np.argpartition(-scores, n - 1, axis=1)[:, :n]
    customer = np.repeat(np.arange(first, first + len(scores)), n)
    score = np.take_along_axis(scores, columns, axis=1).ravel().astype(np.float64)
    return Candidates(customer, model.products[columns.ravel()], score)


def _same_for_all(score: NDArray[np.float64]) -> Scorer:
    top = np.argsort(-score, kind="stable")[:TOP]

    def scorer(first: int, last: int) -> Candidates:
        customers = last - first
        return Candidates(
            np.repeat(np.arange(first, last), len(top)), np.tile(top, customers), np.tile(score[top], customers)
        )

    return scorer
