"""How good lists of recommendations are, against what customers bought afterwards."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np

from pipeline.customers.recommendations.methods import NOTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import scipy.sparse as sp
    from numpy.typing import NDArray

    from pipeline.customers.recommendations.methods import Kind
    from pipeline.customers.recommendations.past import Past

K = 10
"""Products of a list."""
HORIZON = dt.timedelta(days=31)
"""Lists are compared with what was bought on their day and the 30 days after it."""


def truth_of(past: Past, bought: sp.csr_matrix, kind: Kind) -> sp.csr_matrix:
    """The purchases that a list of this kind could have foretold: (customers, products), 1 or absent."""
    if kind == "all":
        return bought
    own = past.matrix()
    kept = bought.multiply(own) if kind == "again" else bought - bought.multiply(own)
    kept = kept.tocsr()
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept


def measure(lists: NDArray[np.int64], truth: sp.csr_matrix) -> dict[str, float]:
    """Compare lists with purchases.

    Args:
        lists: (customers, k), positions of products, `NOTHING` where a list is shorter.
        truth: (customers, products), 1 where bought.

    Returns:
        `customers` who bought anything, over whom these are means: `hit_rate` (at least one product of the list was
        bought), `recall` (share of the purchases that the list holds), `ndcg` (normalised discounted cumulative gain);
        and `coverage`, the share of all products that are on any of their lists. NaN if nobody bought anything.
    """
    bought = np.diff(truth.indptr)
    who = np.flatnonzero(bought > 0)
    if not len(who):
        return {"customers": 0.0} | dict.fromkeys(("hit_rate", "recall", "ndcg", "coverage"), float("nan"))
    count, k = bought[who], lists.shape[1]
    hit = hits(lists, truth)[who]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(count, k) - 1]
    shown = np.unique(lists[who])
    return {
        "customers": float(len(who)),
        "hit_rate": float(hit.any(axis=1).mean()),
        "recall": float((hit.sum(axis=1) / count).mean()),
        "ndcg": float(((hit * discount).sum(axis=1) / ideal).mean()),
        "coverage": float((shown != NOTHING).sum() / truth.shape[1]),
    }


def hits(lists: NDArray[np.int64], truth: sp.csr_matrix) -> NDArray[np.bool_]:
    """(customers, k), whether the product was bought."""
    customers, k = lists.shape
    width = np.int64(truth.shape[1])
    bought = np.repeat(np.arange(customers), np.diff(truth.indptr)) * width + truth.indices
    wanted = np.repeat(np.arange(customers), k) * width + lists.ravel()
    found: NDArray[np.bool_] = (np.isin(wanted, bought) & (lists.ravel() != NOTHING)).reshape(customers, k)
    return found


def metrics_of(past: Past, lists: Mapping[Kind, NDArray[np.int64]], bought: sp.csr_matrix) -> dict[str, float]:
    """Metrics of the lists of all products, and of the lists of new products as `new_…`."""
    new = measure(lists["new"], truth_of(past, bought, "new"))
    return measure(lists["all"], bought) | {f"new_{name}": value for name, value in new.items()}
