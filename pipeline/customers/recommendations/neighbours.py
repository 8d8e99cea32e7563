"""Which products are bought by the same customers, or lie in the same baskets: EASE and item-item neighbours.

EASE is the linear autoencoder of Steck (2019), "Embarrassingly Shallow Autoencoders for Sparse Data": the weights B
that minimise ||X - XB||^2 + lambda ||B||^2 with a zero diagonal, in closed form. It inverts a matrix of products by
products, so it is limited to the products with most buyers; the neighbours cover all products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PRODUCTS = 2_500
"""Products in EASE: the matrix of weights takes 25 MB, and its inverse 2 s on one core."""
MAX_LEARNED = 200_000
"""Rows that similarities are learned from: the first ones, which the caller puts in the order of their use."""
RIDGE = 200.0
"""The lambda of EASE."""
MAX_NEIGHBOURS = 50
SHRINKAGE = 10.0
"""Buyers in common that count half: two products that three people bought both are not yet alike."""
MIN_COMMON = 2
BLOCK = 1_000
"""Products whose neighbours are computed at once."""


@dataclass(frozen=True)
class Ease:
    """Fitted weights.

    Attributes:
        products: (n,) positions of the products that it knows.
        weights: (n, n), of each bought product (row) for each candidate (column).
    """

    products: NDArray[np.int64]
    weights: NDArray[np.float32]


def ease(bought: sp.csr_matrix, *, ridge: float = RIDGE, max_products: int = MAX_PRODUCTS) -> Ease:
    """Fit EASE on the products with most buyers.

    Args:
        bought: (customers, products), 1 where bought.
        ridge: the penalty lambda, in customers.
        max_products: how many products.
    """
    buyers = np.asarray(bought.sum(axis=0)).ravel()
    products = np.sort(np.argsort(-buyers, kind="stable")[:max_products])
    x = bought[:MAX_LEARNED][:, products]
    gram = (x.T @ x).toarray().astype(np.float32)
    gram[np.diag_indices_from(gram)] += ridge
    # The matrix is symmetric and positive definite, so half of the work of a general inverse is enough.
    factor, failed = lapack.spotrf(gram, lower=1)
    inverse, failed_too = lapack.spotri(factor, lower=1)
    if failed or failed_too:
        raise ValueError(f"the Gram matrix has no inverse: potrf {failed}, potri {failed_too}")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return Ease(products, weights.astype(np.float32))


def neighbours(rows: sp.csr_matrix, *, at_most: int = MAX_NEIGHBOURS, shrinkage: float = SHRINKAGE) -> sp.csr_matrix:
    """The most similar products of each product.

    The similarity is the cosine of the two columns, times common / (common + shrinkage).

    Args:
        rows: (customers or baskets, products), 1 where one holds the other.
        at_most: neighbours kept for each product.
        shrinkage: see above.

    Returns:
        (products, products), the similarity of each product (row) with its neighbours.
    """
    x = rows[:MAX_LEARNED].tocsc()
    holders = np.diff(x.indptr).astype(np.float64)
    scale = np.divide(1.0, np.sqrt(holders), out=np.zeros_like(holders), where=holders > 0)
    transposed = x.T.tocsr()
    parts = []
    for first in range(0, x.shape[1], BLOCK):
        found = (transposed[first : first + BLOCK] @ x).tocsr()
        found.sort_indices()
        common = found.tocoo()
        product = common.row + first
        # What one customer alone bought together says nothing, and is most of the pairs.
        apart = (product != common.col) & (common.data >= MIN_COMMON)
        product, other, count = product[apart], common.col[apart], common.data[apart].astype(np.float64)
        similarity = count * scale[product] * scale[other] * count / (count + shrinkage)
        kept = best(product, similarity, at_most)
        shape = (common.shape[0], x.shape[1])
        parts.append(sp.csr_matrix((similarity[kept].astype(np.float32), (product[kept] - first, other[kept])), shape))
    return sp.vstack(parts).tocsr()


def best(
    group: NDArray[np.integer], score: NDArray[np.floating], at_most: int, tie: NDArray[np.integer] | None = None
) -> NDArray[np.int64]:
    """Positions of the highest scores of each group, best first.

    Equal scores are in ascending order of `tie`, or in the order in which they are given.
    """
    order = np.lexsort((-score, group) if tie is None else (tie, -score, group))
    sorted_groups = group[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = sorted_groups[1:] != sorted_groups[:-1]
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    kept: NDArray[np.int64] = order[np.arange(len(order)) - first < at_most]
    return kept
