"""The window's lines summed by invoice and by product, from which the customers page takes its figures.

A year of daily deliveries is hundreds of files. They are opened once for each of the two tables, instead of once for
each figure, and the tables stay in the engine, which spills them to disk beyond its limit of memory.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

from pipeline.customers.features import product_lines
from pipeline.customers.insiders import review_days
from pipeline.lake import engine

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

NO_COUNTRY = "not stated"


@dataclass(frozen=True)
class WindowSums:
    """Sums of product lines before a day. Money is in whole parts, see `features.money`.

    Attributes:
        since: the first day of the window.
        by_invoice: of the window and of all days that a review of the loyalty programme looks back to. One row per
            country, customer_id (null for guests), invoice and day: amount (sales minus returns), sold (whether it has
            a sale), and of the sales with a price sale_lines, sale_units and sale_amount.
        by_product: of the window. One row per country and stock_code: amount.
    """

    since: dt.date
    by_invoice: ir.Table
    by_product: ir.Table

    @property
    def in_window(self) -> ir.Table:
        """The rows of `by_invoice` that are in the window."""
        return self.by_invoice.filter(self.by_invoice.day >= ibis.date(self.since))


def first_day(as_of: dt.date, window_days: int) -> dt.date:
    """The first day that is summed: that of the window of the oldest review as of a day."""
    return review_days(as_of)[0] - dt.timedelta(days=window_days)


def sum_window(con: Backend, transactions: ir.Table, as_of: dt.date, window_days: int) -> WindowSums:
    """Sum the lines.

    Args:
        con: the engine.
        transactions: the clean table, at least from `first_day`, one row per invoice line.
        as_of: only what happened before midnight of this day is used.
        window_days: length of the window in days.

    Raises:
        UsageError: window_days is below 1.
    """
    window = _located(product_lines(transactions, as_of, window_days))
    by_product = window.group_by("country", "stock_code").agg(amount=window.amount.sum().cast("int64"))
    since = as_of - dt.timedelta(days=window_days)
    return WindowSums(since, sum_invoices(con, transactions, as_of, window_days), engine.kept(con, by_product))


def sum_invoices(con: Backend, transactions: ir.Table, as_of: dt.date, window_days: int) -> ir.Table:
    """Sum the lines by invoice, see `WindowSums.by_invoice`; the arguments are those of `sum_window`."""
    lines = _located(product_lines(transactions, as_of, (as_of - first_day(as_of, window_days)).days))
    sold, priced = lines.quantity > 0, (lines.quantity > 0) & (lines.amount > 0)
    by_invoice = lines.group_by("country", "customer_id", "invoice", day=lines.invoiced_at.date()).agg(
        amount=lines.amount.sum().cast("int64"),
        sold=sold.any(),
        sale_lines=priced.sum().cast("int64"),
        sale_units=lines.quantity.sum(where=priced).fill_null(0).cast("int64"),
        sale_amount=lines.amount.sum(where=priced).fill_null(0).cast("int64"),
    )
    return engine.kept(con, by_invoice)


def _located(lines: ir.Table) -> ir.Table:
    return lines.mutate(country=lines.country.fill_null(NO_COUNTRY))
