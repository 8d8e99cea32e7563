"""What the night writes into the table `recommendations`: lists for each customer and each product, and for guests.

A row is a list: its kind (`list`), whom or what it is for (`subject`), and its products, best first, with their scores.

    best         customer   any product
    buy again    customer   products that the customer has bought
    new to you   customer   products that the customer has not bought
    goes with    product    products of the same baskets
    popular      ""         for guests and new customers: what most invoices hold lately

Scores of customers' lists are chances of a purchase within the horizon, and `chance` is that of at least one product of
`best`; other lists have the similarity of baskets and the number of invoices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline.customers.clean_lines import transactions_of
from pipeline.customers.domain import DOMAIN, RECOMMENDATIONS
from pipeline.customers.recommendations.blend import CUSTOMER_FEATURES
from pipeline.customers.recommendations.evaluation import K
from pipeline.customers.recommendations.methods import NOTHING, Kind, recommend_scored
from pipeline.customers.recommendations.neighbours import neighbours
from pipeline.customers.recommendations.past import Past, past_of
from pipeline.lake.tables import Lake
from pipeline.training.spec import Champions, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

LISTS: dict[str, Kind] = {"best": "all", "buy again": "again", "new to you": "new"}
SCHEMA = pa.schema(
    [
        ("list", pa.string()),
        ("subject", pa.string()),
        ("products", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float64())),
        ("chance", pa.float64()),
    ]
)


def lists(run: Run, champions: Champions) -> pa.Table:
    """The lists as of a day.

    Raises:
        RefusedError: if no known customer bought anything in the window.
    """
    import pandas as pd

    settings, model = run.settings, champions.load(RECOMMENDATIONS).model
    version = Lake(settings).inputs(DOMAIN.features_table, {"as_of": [run.as_of]}, run.tables[DOMAIN.features_table])
    con, transactions = transactions_of(Run(settings, run.as_of, version))
    past = past_of(con, transactions, run.as_of, window_days=settings.window_days)
    features = dict(zip(CUSTOMER_FEATURES, (past.last_days, past.invoices, past.by_customer()), strict=True))
    chance = model.predict(pd.DataFrame(features, dtype="float64"))
    found = recommend_scored(past, model.scorer(past, settings.threads), tuple(LISTS.values()), K)
    parts = [_rows(name, past.customers, past, *found[kind], chance) for name, kind in LISTS.items()]
    return pa.concat_tables([*parts, goes_with(past), popular(past)])


def goes_with(past: Past) -> pa.Table:
    """The products of the same baskets, for each product that has any."""
    near = neighbours(past.baskets, at_most=K)
    count = np.diff(near.indptr)
    positions = np.full((len(past.products), K), NOTHING, dtype=np.int64)
    scores = np.zeros((len(past.products), K))
    row = np.repeat(np.arange(len(count)), count)
    order = np.lexsort((near.indices, -near.data, row))
    rank = np.arange(len(row)) - np.repeat(near.indptr[:-1], count)
    positions[row, rank], scores[row, rank] = near.indices[order], near.data[order]
    some = count > 0
    return _rows("goes with", past.products[some], past, positions[some], scores[some])


def popular(past: Past) -> pa.Table:
    """The list for guests and for customers who are not known yet."""
    lately = past.popular_lately
    top = np.argsort(-lately, kind="stable")[:K]
    return _rows("popular", np.array([""]), past, top[None, :], np.floor(lately[top])[None, :])


def _rows(
    name: str,
    subjects: NDArray[np.str_],
    past: Past,
    positions: NDArray[np.int64],
    scores: NDArray[np.float64],
    chance: NDArray[np.float64] | None = None,
) -> pa.Table:
    """Rows of a kind of list: (subjects, k) positions and scores, filled with `NOTHING`."""
    held = positions != NOTHING
    ends = np.concatenate([[0], np.cumsum(held.sum(axis=1))]).astype(np.int32)
    products = pa.array(past.products).take(pa.array(positions[held]))
    return pa.table(
        [
            pa.array([name] * len(subjects)),
            pa.array(subjects),
            pa.ListArray.from_arrays(ends, products.cast(pa.string())),
            pa.ListArray.from_arrays(ends, pa.array(scores[held].astype(np.float64))),
            pa.nulls(len(subjects), pa.float64()) if chance is None else pa.array(chance),
        ],
        schema=SCHEMA,
    )
