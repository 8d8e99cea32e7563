"""What customers bought before a day, as arrays: the only thing that recommenders know.

Which lines count
    Product lines of kind `sale` that name a customer, from `window_days` days before midnight of `as_of` (included) to
    that midnight (excluded), as in `customers.features`. Nothing later is read: the full history and the history cut at
    `as_of` give the same arrays.

Lines are counted in the query engine, which spills to disk; Python holds one row for each pair of a customer and a
product. Everything that is summed is a whole number, so the result does not depend on the order of the rows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import scipy.sparse as sp

from pipeline.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

RECENT_DAYS = (7, 30, 60, 90)
"""Popularity is counted over each of these periods before the day."""
DECAY_DAYS = 60
"""A purchase of this age counts e times less than one of today."""
PARTS = 1_000_000
"""Decayed purchases and prices are summed in whole millionths."""
MAX_BASKETS, MAX_BASKET_PRODUCTS = 500_000, 200
"""What goes together is learned from the newest baskets only, and not from orders that hold half of the catalogue."""

PAIR_COLUMNS = ("purchases", "last_days", "first_days", "decayed", "price", *(f"recent_{n}" for n in RECENT_DAYS))


@dataclass(frozen=True)
class Past:
    """Purchases before a day. Customers and products are numbered by their position.

    Attributes:
        as_of: everything is strictly before this day.
        customers, products: their ids, sorted.
        customer, product: (pairs,) int32, positions, sorted by customer and then by product.
        pairs: by name of `PAIR_COLUMNS`, (pairs,): `purchases` invoices that hold the product, days since the
            last and the first of them (yesterday is 1), purchases `decayed` by their age, mean `price` (money), and
            invoices within each of `RECENT_DAYS`.
        invoices, last_days, first_days: (customers,), invoices, and days since the last and the first.
        baskets: (baskets, products) 1 where a basket holds a product; the newest baskets.
    """

    as_of: dt.date
    customers: NDArray[Any]
    products: NDArray[Any]
    customer: NDArray[np.int32]
    product: NDArray[np.int32]
    pairs: Mapping[str, NDArray[np.float32]]
    invoices: NDArray[np.float32]
    last_days: NDArray[np.float32]
    first_days: NDArray[np.float32]
    baskets: sp.csr_matrix

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """(customers + 1,), the position of each customer's first pair, and the end."""
        return np.searchsorted(self.customer, np.arange(len(self.customers) + 1)).astype(np.int64)

    def matrix(self, values: NDArray[np.float32] | None = None) -> sp.csr_matrix:
        """(customers, products), a value for each pair; 1 if left out."""
        data = np.ones(len(self.product), dtype=np.float32) if values is None else values.astype(np.float32)
        shape = (len(self.customers), len(self.products))
        return sp.csr_matrix((data, self.product, self.starts), shape=shape)

    def by_product(self, values: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
        """(products,), a sum over pairs; the number of buyers if left out."""
        return np.asarray(np.bincount(self.product, values, minlength=len(self.products)), dtype=np.float64)

    def by_customer(self, values: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
        """(customers,), a sum over pairs; the number of products if left out."""
        return np.asarray(np.bincount(self.customer, values, minlength=len(self.customers)), dtype=np.float64)

    @cached_property
    def buyers(self) -> NDArray[np.float64]:
        """(products,), customers who bought each product."""
        return self.by_product()

    @cached_property
    def popular_lately(self) -> NDArray[np.float64]:
        """(products,), invoices of known customers in the last 30 days; earlier ones only break ties."""
        earlier = self.buyers / (1 + 2 * self.buyers.sum())
        return np.asarray(self.by_product(self.pairs["recent_30"]) + earlier, dtype=np.float64)


def past_of(con: Backend, transactions: ir.Table, as_of: dt.date, *, window_days: int) -> Past:
    """Count what customers bought in the window before a day.

    Args:
        con: the engine.
        transactions: the clean table, one row per invoice line.
        as_of: only what happened before midnight of this day is used.
        window_days: length of the window in days.

    Raises:
        RefusedError: if no known customer bought anything in the window.
    """
    lines = _lines(transactions, as_of, window_days)
    invoices = lines.group_by("customer_id", "invoice", "stock_code").agg(
        days=lines.days.min(), price=(lines.unit_price * PARTS).round().cast("int64").min()
    )
    # The whole expression runs once: pairs are written in the order of customer and product.
    counted = invoices.group_by("customer_id", "stock_code").agg(
        purchases=invoices.count(),
        last_days=invoices.days.min(),
        first_days=invoices.days.max(),
        decayed=((-invoices.days / float(DECAY_DAYS)).exp() * PARTS).round().cast("int64").sum(),
        price=invoices.price.sum(),
        **{f"recent_{n}": (invoices.days <= n).sum() for n in RECENT_DAYS},
    )
    rows = con.to_pyarrow(counted.order_by("customer_id", "stock_code"))
    if rows.num_rows == 0:
        since = as_of - dt.timedelta(days=window_days)
        raise RefusedError(
            "No known customer bought anything in the window",
            where=f"transactions, {since} to {as_of}",
            todo="ingest the days of the window first, or choose another as-of day",
        )
    people = con.to_pyarrow(
        lines.group_by("customer_id")
        .agg(invoices=lines.invoice.nunique(), last_days=lines.days.min(), first_days=lines.days.max())
        .order_by("customer_id")
    )
    pairs = {name: rows[name].to_numpy().astype(np.float32) for name in PAIR_COLUMNS}
    pairs["price"] = pairs["price"] / PARTS / pairs["purchases"]
    pairs["decayed"] = pairs["decayed"] / PARTS
    products, product = _positions(rows["stock_code"])
    customers, customer = _positions(rows["customer_id"])
    order = np.lexsort((product, customer))
    whose = np.argsort(people["customer_id"].to_numpy(zero_copy_only=False).astype(str))
    return Past(
        as_of=as_of,
        customers=customers,
        products=products,
        customer=customer[order],
        product=product[order],
        pairs={name: values[order] for name, values in pairs.items()},
        baskets=_baskets(con, lines, products),
        **{name: people[name].to_numpy().astype(np.float32)[whose] for name in ("invoices", "last_days", "first_days")},
    )


def bought_since(con: Backend, transactions: ir.Table, past: Past, until: dt.date) -> sp.csr_matrix:
    """What the customers of a past bought from its day on, of the products that were known.

    Args:
        con: the engine.
        transactions: the clean table.
        past: what was known.
        until: the day after the last one that counts.

    Returns:
        (customers, products), 1 where the customer bought the product.
    """
    lines = _lines(transactions, until, (until - past.as_of).days)
    rows = con.to_pyarrow(lines.select("customer_id", "stock_code").distinct())
    customer, known = _found(past.customers, rows["customer_id"])
    product, sold = _found(past.products, rows["stock_code"])
    both = known & sold
    shape = (len(past.customers), len(past.products))
    truth = sp.csr_matrix((np.ones(both.sum(), dtype=np.float32), (customer[both], product[both])), shape=shape)
    truth.sort_indices()
    return truth


def _lines(transactions: ir.Table, as_of: dt.date, window_days: int) -> ir.Table:
    until = dt.datetime.combine(as_of, dt.time.min)
    t = transactions
    lines = t.filter(
        t.invoiced_at >= ibis.timestamp(until - dt.timedelta(days=window_days)),
        t.invoiced_at < ibis.timestamp(until),
        t.is_product,
        t.kind == "sale",
        t.customer_id.notnull(),
    )
    return lines.select(
        "customer_id",
        "invoice",
        "stock_code",
        "unit_price",
        days=ibis.date(as_of).delta(lines.invoiced_at.date(), unit="day"),
    )


def _baskets(con: Backend, lines: ir.Table, products: NDArray[Any]) -> sp.csr_matrix:
    sizes = lines.group_by("customer_id", "invoice").agg(days=lines.days.min(), size=lines.stock_code.nunique())
    chosen = sizes.filter(sizes["size"] >= 2, sizes["size"] <= MAX_BASKET_PRODUCTS)
    newest = chosen.order_by("days", "customer_id", "invoice").limit(MAX_BASKETS)
    keys = newest.mutate(basket=ibis.row_number().over(order_by=["days", "customer_id", "invoice"]))
    held = lines.select("customer_id", "invoice", "stock_code").distinct()
    rows = con.to_pyarrow(held.join(keys.select("customer_id", "invoice", "basket"), ["customer_id", "invoice"]))
    product, _ = _found(products, rows["stock_code"])
    basket = rows["basket"].to_numpy()
    count = int(basket.max()) + 1 if len(basket) else 0
    return sp.csr_matrix((np.ones(len(basket), dtype=np.float32), (basket, product)), shape=(count, len(products)))


def _positions(ids: Any) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """The distinct ids in ascending order, and the position of each id among them."""
    coded = ids.combine_chunks().dictionary_encode()
    names = coded.dictionary.to_numpy(zero_copy_only=False).astype(str)
    order = np.argsort(names)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return names[order], rank[coded.indices.to_numpy()]


def _found(names: NDArray[Any], ids: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The position of each id among sorted names, and whether it is one of them."""
    wanted = ids.to_numpy(zero_copy_only=False).astype(str)
    position = np.minimum(np.searchsorted(names, wanted), len(names) - 1)
    return position, names[position] == wanted
