"""The loyalty programme: a rule that is learned from the customers, and who is a member by it as of a day.

The rule has three conditions: revenue net of returns, invoices, and days since the last purchase, each of the window
(the definitions of `customer_features`). It is learned anew on the first day of each quarter from the customers who are
known then, and stays the same for the quarter, so that it can be told to customers:

    to join   revenue and invoices in the highest fifth, and a purchase as recent as that of the more recent half
    to stay   revenue and invoices in the highest 30 %, and a purchase as recent as that of three quarters

Membership is reviewed on the first day of each month. Whoever fulfils the first conditions is a member; a member stays
as long as the second are fulfilled. That the bar to stay is lower than the bar to join (hysteresis) keeps customers at
the edge from going in and out. All reviews of the last year and its first quarter are computed again from the invoice
lines, each from what happened before it: the members as of a day depend on nothing that was stored and on no later day.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.customers.features import MONEY_PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

MIN_CUSTOMERS = 50
"""Customers from whom a rule can be learned."""
JOIN_SHARE, STAY_SHARE = 0.2, 0.3
"""The share of customers with the highest revenue, and with the most invoices, that may join and stay."""
JOIN_RECENT, STAY_RECENT = 0.5, 0.75
"""The share of customers with the most recent purchases that may join and stay."""
MIN_INVOICES = 2
"""A single purchase does not make a customer loyal, however large it is."""


@dataclass(frozen=True)
class Bounds:
    """What a customer must reach: revenue and invoices at least, days since the last purchase at most."""

    revenue: float
    invoices: float
    recency_days: float

    def reached(self, customers: pd.DataFrame | Mapping[str, float]) -> dict[str, NDArray[np.bool_]]:
        """By condition, which of the customers fulfil it; or whether the only one does."""
        return {
            "revenue": np.asarray(customers["revenue"]) >= self.revenue,
            "invoices": np.asarray(customers["invoices"]) >= self.invoices,
            "recency_days": np.asarray(customers["recency_days"]) <= self.recency_days,
        }

    def all_reached(self, customers: pd.DataFrame) -> NDArray[np.bool_]:
        """Which of the customers fulfil all conditions."""
        reached: NDArray[np.bool_] = np.logical_and.reduce(list(self.reached(customers).values()))
        return reached


@dataclass(frozen=True)
class Rule:
    """What it takes to join and to stay, and the day whose known customers it was learned from."""

    learned: dt.date
    join: Bounds
    stay: Bounds


@dataclass(frozen=True)
class Review:
    """The outcome of a review.

    Attributes:
        day: only what happened before midnight of this day was used.
        rule: of its quarter.
        members: customer -> the day of the review at which they joined, without interruption since.
        known: the customers who bought something in the window, members included.
    """

    day: dt.date
    rule: Rule
    members: Mapping[str, dt.date] = field(repr=False)
    known: NDArray[np.object_] = field(repr=False)


def reviews(con: Backend, by_invoice: ir.Table, as_of: dt.date, window_days: int) -> list[Review]:
    """Review the membership of all customers on each review day until a day.

    Args:
        con: the engine.
        by_invoice: see `window_sums.WindowSums`, of the same day and window.
        as_of: the day.
        window_days: length of the window in days.

    Returns:
        The reviews, the oldest first. Empty while fewer than `MIN_CUSTOMERS` are known; before the first review day
        with as many, there is one of `as_of` itself.
    """
    purchases = _purchases(con, by_invoice)
    found: list[Review] = []
    for day in review_days(as_of):
        _review(purchases, day, window_days, found)
    if not found:
        _review(purchases, as_of, window_days, found)
    return found


def review_days(as_of: dt.date) -> list[dt.date]:
    """The first days of the months until a day, from the first quarter that begins a year before it or earlier."""
    first = dt.date(as_of.year - 1, (as_of.month - 1) // 3 * 3 + 1, 1)
    days = [dt.date(first.year + (first.month + n - 1) // 12, (first.month + n - 1) % 12 + 1, 1) for n in range(15)]
    return [day for day in days if day <= as_of]


def learn_rule(customers: pd.DataFrame, day: dt.date) -> Rule:
    """The rule by the revenue, invoices and recency_days of known customers."""

    def bounds(highest: float, recent: float) -> Bounds:
        # Values that a customer has, so that the rule has no decimals that nobody can reach exactly.
        revenue, invoices = (
            float(np.quantile(customers[name], 1 - highest, method="inverted_cdf")) for name in ("revenue", "invoices")
        )
        days = float(np.quantile(customers["recency_days"], recent, method="inverted_cdf"))
        return Bounds(revenue, max(MIN_INVOICES, invoices), days)

    return Rule(day, bounds(JOIN_SHARE, JOIN_RECENT), bounds(STAY_SHARE, STAY_RECENT))


def _review(purchases: pd.DataFrame, day: dt.date, window_days: int, before: list[Review]) -> None:
    """Append the review of a day, unless too few customers are known."""
    customers = _known(purchases, day, window_days)
    if len(customers) < MIN_CUSTOMERS:
        return
    last = before[-1] if before else None
    same_quarter = last is not None and _quarter(last.day) == _quarter(day)
    rule = last.rule if last is not None and same_quarter else learn_rule(customers, day)
    since = last.members if last is not None else {}
    ids = customers["customer_id"].to_numpy()
    stays, joins = (ids[bounds.all_reached(customers)] for bounds in (rule.stay, rule.join))
    members = {customer: since[customer] for customer in stays if customer in since}
    members |= {customer: day for customer in joins if customer not in members}
    before.append(Review(day, rule, members, ids))


def _purchases(con: Backend, by_invoice: ir.Table) -> pd.DataFrame:
    """The purchases of known customers; ids are categories in order, of which every review makes groups fast."""
    columns = ("customer_id", "invoice", "day", "sold", "amount")
    purchases: pd.DataFrame = con.to_pandas(by_invoice.filter(by_invoice.customer_id.notnull()).select(*columns))
    return purchases.astype({"customer_id": "category", "invoice": "category", "day": "datetime64[s]"})


def _known(purchases: pd.DataFrame, day: dt.date, window_days: int) -> pd.DataFrame:
    """Revenue, invoices and recency_days of the customers with a sale in the window, as in `customer_features`."""
    until = pd.Timestamp(day)
    window = purchases[purchases["day"].between(until - pd.Timedelta(days=window_days), until, inclusive="left")]
    sales = window[window["sold"]].groupby("customer_id", observed=True)
    revenue = window.groupby("customer_id", observed=True)["amount"].sum()
    known = sales.agg(invoices=("invoice", "nunique"), last=("day", "max"))
    return pd.DataFrame(
        {
            "customer_id": known.index.astype(object),
            "revenue": revenue.reindex(known.index).to_numpy(dtype=np.float64) / MONEY_PARTS,
            "invoices": known["invoices"].to_numpy(dtype=np.float64),
            "recency_days": (until - known["last"]).dt.days.to_numpy(dtype=np.float64),
        }
    )


def _quarter(day: dt.date) -> tuple[int, int]:
    return day.year, (day.month - 1) // 3
