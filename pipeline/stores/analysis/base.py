"""Prepare the open days with sales, each relative to usual sales: the table that all analyses read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd

from pipeline.stores.calendar import HOLIDAY_CODES, LONG_CLOSURE

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

HOLIDAY_KINDS = tuple(HOLIDAY_CODES)[1:]
MAX_OFFSET = 14
"""Days from a holiday (for closures: open days) up to which days are grouped by their distance."""


def open_days(con: Backend, store_days: ir.Table) -> ir.Table:
    """Return one row per open day with sales, as a table of the engine that the caller drops.

    Usual sales are the mean of log sales over the days of the same store and weekday, with or without promotion as on
    the day, holidays left out. An excess of 0.1 means about 10 % more than usual.

    Args:
        con: the engine of the table.
        store_days: the clean table.

    Returns:
        store, day, weekday (0 is Monday), promo, school, holiday (none, public, ...), sales, customers (null instead of
        0), log_sales, level (log sales minus the store's mean) and excess (log sales minus usual log sales).
        to_holiday: days from the nearest holiday, negative before it; near: the kind of that holiday.
        closes_in, reopened: number of the open day, from 1, counted back from or on from a closure of `LONG_CLOSURE`
        days or more. These four are null further than `MAX_OFFSET` away.
    """
    every = store_days.select(
        "store",
        "day",
        "promo",
        "open",
        t=store_days.day.delta(ibis.date(1970, 1, 1), unit="day"),
        weekday=store_days.day.day_of_week.index(),
        school=store_days.school_holiday,
        holiday=store_days.state_holiday,
        sales=store_days.sales.cast("float64"),
        customers=store_days.customers.cast("float64").nullif(0),
    )
    days = _add_closures(_add_holidays(every)).filter(lambda d: d.sales > 0)
    days = days.mutate(log_sales=days.sales.ln())
    group = ibis.window(group_by=("store", "weekday", "promo"))
    usual = days.log_sales.mean(where=days.holiday == "none").over(group)
    prepared = days.mutate(
        level=days.log_sales - days.log_sales.mean().over(ibis.window(group_by="store")),
        excess=days.log_sales - usual,
    ).drop("t", "open")
    return con.create_table(ibis.util.gen_name("open_days"), prepared)


def daily_means(open_days: ir.Table) -> pd.DataFrame:
    """Return by day: stores (number with sales), sales (their sum), and the means of excess and level over them."""
    days = open_days.group_by("day").agg(
        stores=open_days.count(),
        sales=open_days.sales.sum(),
        excess=open_days.excess.mean(),
        level=open_days.level.mean(),
    )
    return with_timestamps(days.order_by("day").to_pandas()).set_index("day")


def with_timestamps(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its column day converted to pandas timestamps."""
    return frame.assign(day=pd.to_datetime(frame["day"]).astype("datetime64[s]"))


def largest(values: pd.Series) -> Any:
    """Return the index label of the largest value."""
    return values.idxmax()


def smallest(values: pd.Series) -> Any:
    """Return the index label of the smallest value."""
    return values.idxmin()


def _add_holidays(days: ir.Table) -> ir.Table:
    """Add the columns to_holiday and near."""
    # Day and kind are encoded in one number, so that the last (next) holiday is the largest (smallest) number.
    code = ibis.ifelse(days.holiday == "none", None, days.t * 4 + days.holiday.cases(*HOLIDAY_CODES.items(), else_=0))
    previous = code.max().over(ibis.window(group_by="store", order_by="t", following=0))
    upcoming = code.min().over(ibis.window(group_by="store", order_by="t", preceding=0))
    d = days.mutate(previous=previous, upcoming=upcoming)
    since, until = (d.t - d.previous // 4).fill_null(MAX_OFFSET + 1), (d.upcoming // 4 - d.t).fill_null(MAX_OFFSET + 1)
    nearest = ibis.ifelse(until <= since, d.upcoming, d.previous)
    offset = d.t - nearest // 4
    is_near = offset.abs() <= MAX_OFFSET
    kind = (nearest % 4).cases(*((code, name) for name, code in HOLIDAY_CODES.items()), else_=None)
    return d.mutate(to_holiday=ibis.ifelse(is_near, offset, None), near=ibis.ifelse(is_near, kind, None)).drop(
        "previous", "upcoming"
    )


def _add_closures(days: ir.Table) -> ir.Table:
    """Select the open days and add closes_in and reopened; a day without a row does not count as closed."""
    by_store = ibis.window(group_by="store", order_by="t")
    d = days.mutate(
        place=ibis.row_number().over(by_store), rows=ibis._.count().over(ibis.window(group_by="store"))
    ).filter(ibis._.open)
    d = d.mutate(
        closed_before=(d.place - d.place.lag().over(by_store) - 1).fill_null(0),
        closed_after=d.place.lead().over(by_store).fill_null(d.rows) - d.place - 1,
        nth=ibis.row_number().over(by_store),
    )
    behind = ibis.window(group_by="store", order_by="t", following=0)
    ahead = ibis.window(group_by="store", order_by="t", preceding=0)
    reopening = ibis.ifelse(d.closed_before >= LONG_CLOSURE, d.nth, None).max().over(behind)
    closing = ibis.ifelse(d.closed_after >= LONG_CLOSURE, d.nth, None).min().over(ahead)
    d = d.mutate(reopened=d.nth - reopening + 1, closes_in=closing - d.nth + 1)
    return d.mutate(
        reopened=ibis.ifelse(d.reopened <= MAX_OFFSET, d.reopened, None),
        closes_in=ibis.ifelse(d.closes_in <= MAX_OFFSET, d.closes_in, None),
    ).drop("place", "rows", "closed_before", "closed_after", "nth")
