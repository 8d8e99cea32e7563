"""The open days with sales, each against what is usual for it: the one table that the analyses read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ibis
import pandas as pd

from pipeline.stores.calendar import HOLIDAY_CODES, LONG_CLOSURE

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

KINDS = tuple(HOLIDAY_CODES)[1:]
NEAR = 14
"""Days (open days for closures) that are near enough to a holiday or a closure to be told apart."""


def open_days(con: Backend, store_days: ir.Table) -> ir.Table:
    """One row an open day with sales, as a table of the engine that is the caller's to drop.

    What is usual is the mean of log sales of the same store, weekday and promotion or not, holidays left aside. So an
    excess of 0.1 is 10 % more than a day of that kind brings that store.

    Returns:
        store, day, weekday (0 is Monday), promo, school, holiday (none, public, ...), sales, customers (null where
        there were none), log_sales, level (log sales less the store's mean), excess, and, null further than `NEAR`
        away: to_holiday (days from the nearest holiday, below 0 before it) and near (its kind); closes_in, reopened
        (the how manieth open day before or after a closure of `LONG_CLOSURE` days or more, from 1) of a store.
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
    days = _closures(_holidays(every)).filter(lambda d: d.sales > 0)
    days = days.mutate(log_sales=days.sales.ln())
    alike = ibis.window(group_by=("store", "weekday", "promo"))
    usual = days.log_sales.mean(where=days.holiday == "none").over(alike)
    made = days.mutate(
        level=days.log_sales - days.log_sales.mean().over(ibis.window(group_by="store")),
        excess=days.log_sales - usual,
    ).drop("t", "open")
    return con.create_table(ibis.util.gen_name("open_days"), made)


def by_day(open_days: ir.Table) -> pd.DataFrame:
    """One row a day, by day: stores (that sold), sales (their sum), excess and level (means over them)."""
    days = open_days.group_by("day").agg(
        stores=open_days.count(),
        sales=open_days.sales.sum(),
        excess=open_days.excess.mean(),
        level=open_days.level.mean(),
    )
    return dates(days.order_by("day").to_pandas()).set_index("day")


def dates(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its days as pandas counts them, whatever they came as."""
    return frame.assign(day=pd.to_datetime(frame["day"]).astype("datetime64[s]"))


def largest(values: pd.Series) -> Any:
    """The label of the largest value."""
    return values.idxmax()


def smallest(values: pd.Series) -> Any:
    """The label of the smallest value."""
    return values.idxmin()


def _holidays(days: ir.Table) -> ir.Table:
    """Adds to_holiday and near."""
    # Day and kind in one number: the last (next) holiday is the largest (smallest) of them.
    code = ibis.ifelse(days.holiday == "none", None, days.t * 4 + days.holiday.cases(*HOLIDAY_CODES.items(), else_=0))
    last = code.max().over(ibis.window(group_by="store", order_by="t", following=0))
    coming = code.min().over(ibis.window(group_by="store", order_by="t", preceding=0))
    d = days.mutate(last=last, coming=coming)
    since, until = (d.t - d["last"] // 4).fill_null(NEAR + 1), (d.coming // 4 - d.t).fill_null(NEAR + 1)
    nearest = ibis.ifelse(until <= since, d.coming, d["last"])
    offset = d.t - nearest // 4
    is_near = offset.abs() <= NEAR
    kind = (nearest % 4).cases(*((code, name) for name, code in HOLIDAY_CODES.items()), else_=None)
    return d.mutate(to_holiday=ibis.ifelse(is_near, offset, None), near=ibis.ifelse(is_near, kind, None)).drop(
        "last", "coming"
    )


def _closures(days: ir.Table) -> ir.Table:
    """The open days, with closes_in and reopened; a day without a row is unknown, which is not closed."""
    by_store = ibis.window(group_by="store", order_by="t")
    d = days.mutate(
        place=ibis.row_number().over(by_store), rows=ibis._.count().over(ibis.window(group_by="store"))
    ).filter(ibis._.open)
    d = d.mutate(
        shut=(d.place - d.place.lag().over(by_store) - 1).fill_null(0),
        shuts=d.place.lead().over(by_store).fill_null(d.rows) - d.place - 1,
        nth=ibis.row_number().over(by_store),
    )
    behind = ibis.window(group_by="store", order_by="t", following=0)
    ahead = ibis.window(group_by="store", order_by="t", preceding=0)
    last = ibis.ifelse(d.shut >= LONG_CLOSURE, d.nth, None).max().over(behind)
    coming = ibis.ifelse(d.shuts >= LONG_CLOSURE, d.nth, None).min().over(ahead)
    d = d.mutate(reopened=d.nth - last + 1, closes_in=coming - d.nth + 1)
    return d.mutate(
        reopened=ibis.ifelse(d.reopened <= NEAR, d.reopened, None),
        closes_in=ibis.ifelse(d.closes_in <= NEAR, d.closes_in, None),
    ).drop("place", "rows", "shut", "shuts", "nth")
