"""Features of customers: invoice lines in, one row per customer out, as of a day.

Which lines count
    Product lines (`is_product`) of kind `sale` or `return` that name a customer, from `window_days` days before
    midnight of `as_of` (included) to that midnight (excluded). Nothing later and nothing earlier is read: the full
    history and the history cut at `as_of` give the same table. A customer without a product sale in the window has no
    row. Guests, who are lines without a customer, are left out; `guest_revenue` measures them.

Terms
    invoice   the lines of one customer under one invoice number; its time is that of its first line. It is a purchase
              if it has at least one sale, and a cancellation if it has returns only.
    money     in the currency of the table. Unit prices are rounded to four decimals and summed as whole numbers, so the
              sums are exact and do not depend on the order of the rows.
    month     one of round(window_days / 30), at least one, nearly equal parts of the window in whole days, counted back
              from `as_of`: 365 days give twelve months of 30 or 31 days. They are not calendar months, so the latest
              month is never incomplete.

The features are float64, and never NaN or infinite; only is_home_country can be null. "Single" is the value for a
customer with one purchase, or one month, for whom the definition has no value. docs/features.md has the formulas.

    recency_days           days    from the day of the last purchase to as_of; yesterday is 1
    invoices               count   purchases
    units                  units   sold, before returns
    revenue                money   sales minus returns; negative if returns of older purchases exceed the sales
    average_ticket         money   sales before returns, divided by the number of purchases
    distinct_products      count   different stock codes among the sales
    days_between_invoices  days    from the first purchase to the last / (invoices - 1); single: window_days
    favourite_weekday      0..6    the weekday with most purchases, 0 = Monday; the earliest on a tie
    favourite_hour         0..23   the hour with most purchases; the earliest on a tie
    is_home_country        0 or 1  1 if at least half of the purchases with a country name the home country; null if
                                   no purchase has a country, as where the source does not map one
    cancellations          count   cancellations, whenever the goods were bought
    cancellation_rate      0..1    cancellations / (invoices + cancellations)
    monthly_spend_mean     money   mean over months of sales minus returns, from the month of the first purchase to the
                                   latest month; a month without lines is 0, returns in earlier months are left out
    monthly_spend_std      money   population standard deviation of the same months; single: 0
    monthly_spend_trend    money   least-squares slope of the same months, per month; positive is growing; single: 0
    return_units           units   returned, as a positive number
    purchase_frequency     count   purchases per 30 days, from the day of the first purchase to as_of, taken as at least
                                   30 days so that one purchase yesterday does not count as thirty a month
    median_basket_units    units   median over purchases of the units sold in each
"""

from __future__ import annotations

import datetime as dt
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import ibis

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import ibis.expr.types as ir

FEATURE_COLUMNS: tuple[str, ...] = (
    "recency_days",
    "invoices",
    "units",
    "revenue",
    "average_ticket",
    "distinct_products",
    "days_between_invoices",
    "favourite_weekday",
    "favourite_hour",
    "is_home_country",
    "cancellations",
    "cancellation_rate",
    "monthly_spend_mean",
    "monthly_spend_std",
    "monthly_spend_trend",
    "return_units",
    "purchase_frequency",
    "median_basket_units",
)

MONTH_DAYS = 30
SECONDS_PER_DAY = 86_400
MONEY_PARTS = 10_000
"""Money is summed in whole ten-thousandths."""


def customer_features(transactions: ir.Table, as_of: dt.date, *, window_days: int = 365, home_country: str) -> ir.Table:
    """Compute the features of every customer with a product sale in the window.

    Args:
        transactions: the clean table, one row per invoice line.
        as_of: only what happened before midnight of this day is used.
        window_days: length of the window in days.
        home_country: the shop's own country, as the table writes it.

    Returns:
        An expression with customer_id (str), as_of (date) and `FEATURE_COLUMNS` (float64), in no particular order; the
        module's docstring defines each.

    Raises:
        UsageError: window_days is below 1.
    """
    lines = product_lines(transactions, as_of, window_days).filter(lambda t: t.customer_id.notnull())
    sales = lines.filter(lines.quantity > 0)
    products = sales.group_by("customer_id").agg(distinct_products=sales.stock_code.nunique())
    customers = _customers(_invoices(lines, as_of, window_days, home_country), window_days)
    # The inner join also drops customers who only returned goods: they have no sale, hence no row in `products`.
    joined = customers.join(products, "customer_id")
    return joined.select(
        "customer_id", as_of=ibis.date(as_of), **{name: joined[name].cast("float64") for name in FEATURE_COLUMNS}
    )


def guest_revenue(lines: ir.Table) -> ir.Table:
    """Compute the revenue of guests, whom the customer features leave out, and of known customers.

    Args:
        lines: customer_id (null for guests) and amount, as in `product_lines`, or sums of them.

    Returns:
        One row: guest_revenue and known_revenue (money, sales minus returns) and guest_share (guest_revenue / total, a
        fraction; 0 if the total is not positive).
    """
    totals = lines.agg(
        guest=money(lines.amount.sum(where=lines.customer_id.isnull())),
        known=money(lines.amount.sum(where=lines.customer_id.notnull())),
    )
    total = totals.guest + totals.known
    return totals.select(
        guest_revenue=totals.guest,
        known_revenue=totals.known,
        guest_share=ibis.ifelse(total > 0, totals.guest / total, 0.0),
    )


def product_lines(transactions: ir.Table, as_of: dt.date, window_days: int) -> ir.Table:
    """Select the sales and returns of products in the window, guests included, and the columns that are needed.

    The sign of the quantity tells sales from returns, so the kind is not among the columns.

    Args:
        transactions: the clean table, one row per invoice line.
        as_of: only what happened before midnight of this day is used.
        window_days: length of the window in days.

    Returns:
        customer_id (null for guests), invoice, stock_code, quantity, invoiced_at, country, and amount: price times
        quantity in whole parts of money, see `money`.

    Raises:
        UsageError: window_days is below 1.
    """
    if window_days < 1:
        raise UsageError(
            "the feature window is empty",
            observed=window_days,
            allowed="1 day or more",
            todo="set window_days to the number of days before as_of that features may use",
        )
    until = dt.datetime.combine(as_of, dt.time.min)
    since = until - dt.timedelta(days=window_days)
    t = transactions
    lines = t.filter(
        t.invoiced_at >= ibis.timestamp(since),
        t.invoiced_at < ibis.timestamp(until),
        t.is_product,
        t.kind.isin(["sale", "return"]),
    )
    return lines.select(
        "customer_id",
        "invoice",
        "stock_code",
        "quantity",
        "invoiced_at",
        "country",
        amount=(lines.unit_price * MONEY_PARTS).round().cast("int64") * lines.quantity,
    )


def _invoices(lines: ir.Table, as_of: dt.date, window_days: int, home_country: str) -> ir.Table:
    """Aggregate lines to one row per customer and invoice."""
    sold = lines.quantity > 0
    invoices = lines.group_by("customer_id", "invoice").agg(
        at=lines.invoiced_at.min(),
        units=_sum(lines.quantity, sold),
        returned=-_sum(lines.quantity, ~sold),
        sold=_sum(lines.amount, sold),
        net=lines.amount.sum(),
        home=(lines.country == home_country).fill_null(False).any(),
        located=lines.country.notnull().any(),
    )
    days = ibis.date(as_of).delta(invoices.at.date(), unit="day")
    purchase = invoices.units > 0
    return invoices.mutate(
        purchase=purchase,
        days=days,
        month=((days - 1) * _months(window_days) // window_days).cast("int64"),
        # Null for cancellations, which are not counted.
        weekday=ibis.ifelse(purchase, invoices.at.day_of_week.index(), ibis.null()),
        hour=ibis.ifelse(purchase, invoices.at.hour(), ibis.null()),
    )


def _customers(invoices: ir.Table, window_days: int) -> ir.Table:
    """Aggregate invoices to one row per customer, with every feature except distinct_products.

    Counts by weekday and hour and sums by month are columns, which one pass over the invoices fills; separate groupings
    would each need a pass and a join.
    """
    i, months = invoices, range(_months(window_days))
    counted = i.group_by("customer_id").agg(
        recency_days=i.days.min(where=i.purchase),
        oldest_days=i.days.max(where=i.purchase),
        oldest_month=i.month.max(where=i.purchase),
        first=i["at"].min(where=i.purchase),
        last=i["at"].max(where=i.purchase),
        invoices=i.purchase.sum(),
        cancellations=(~i.purchase).sum(),
        units=i.units.sum(),
        return_units=i.returned.sum(),
        sold=money(i.sold.sum()),
        revenue=money(i.net.sum()),
        home_invoices=(i.purchase & i.home).sum(),
        located_invoices=(i.purchase & i.located).sum(),
        median_basket_units=i.units.nullif(0).median(),
        **{f"weekday_{k}": (i.weekday == k).sum() for k in range(7)},
        **{f"hour_{k}": (i.hour == k).sum() for k in range(24)},
        **{f"month_{k}": ibis.ifelse(i.month == k, i.net, 0).sum() for k in months},
    )
    c = counted.filter(counted.invoices > 0)
    # Spend is in whole parts of money; month 0 is the latest, and `oldest_month` the month of the first purchase.
    spend = [ibis.ifelse(c.oldest_month >= k, c[f"month_{k}"], 0) for k in months]
    c = c.mutate(months=c.oldest_month + 1, mean=_total(spend) / (c.oldest_month + 1))
    gaps = [ibis.ifelse(c.oldest_month >= k, c[f"month_{k}"] - c["mean"], 0.0) for k in months]
    # Least-squares slope: the middle of the customer's months is at oldest / 2, and month k is oldest / 2 - k after it.
    rise = _total((c.oldest_month / 2 - k) * gap for k, gap in enumerate(gaps)) * 12
    # For a single month or purchase the numerator is 0; `greatest` avoids a division by 0, which some engines refuse.
    slope = rise / ibis.greatest(c.months * (c.months * c.months - 1), 1)
    between = (
        (c["last"].epoch_seconds() - c["first"].epoch_seconds()) / SECONDS_PER_DAY / ibis.greatest(c.invoices - 1, 1)
    )
    return c.mutate(
        average_ticket=c.sold / c.invoices,
        days_between_invoices=ibis.ifelse(c.invoices > 1, between, float(window_days)),
        favourite_weekday=_most_frequent([c[f"weekday_{k}"] for k in range(7)]),
        favourite_hour=_most_frequent([c[f"hour_{k}"] for k in range(24)]),
        is_home_country=ibis.ifelse(c.located_invoices > 0, c.home_invoices * 2 >= c.located_invoices, ibis.null()),
        cancellation_rate=c.cancellations / (c.invoices + c.cancellations),
        monthly_spend_mean=c["mean"] / MONEY_PARTS,
        monthly_spend_std=(_total(gap * gap for gap in gaps) / c.months).sqrt() / MONEY_PARTS,
        monthly_spend_trend=slope / MONEY_PARTS,
        purchase_frequency=c.invoices * MONTH_DAYS / ibis.greatest(c.oldest_days, MONTH_DAYS),
    )


def _months(window_days: int) -> int:
    return max(1, round(window_days / MONTH_DAYS))


def _sum(values: ir.IntegerColumn, where: ir.BooleanValue) -> ir.IntegerScalar:
    return values.sum(where=where).fill_null(0)


def money(parts: ir.IntegerScalar) -> ir.FloatingScalar:
    """Turn a sum of whole parts of money into money; 0 if there was nothing to sum."""
    return parts.fill_null(0).cast("float64") / MONEY_PARTS


def _total(values: Iterable[ir.NumericValue]) -> ir.NumericValue:
    """Add values one by one in a fixed order, so that the result is the same to the last bit each time."""
    return reduce(add, values)


def _most_frequent(counts: list[ir.IntegerColumn]) -> ir.IntegerValue:
    """Return the position of the largest count, the first one on a tie.

    Count and position are coded as one number, count * n + (n - 1 - position): its maximum gives the position.
    """
    last = len(counts) - 1
    coded = [count * len(counts) + (last - k) for k, count in enumerate(counts)]
    return last - ibis.greatest(*coded) % len(counts)
