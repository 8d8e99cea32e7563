"""Store days whose sales are far from the usual of their store, weekday and promotion: marked, never dropped.

The usual is the median of log sales of the store's open days of that weekday, with or without promotion; how far is
told in the modified z-score of Iglewicz and Hoaglin (1993, "How to Detect and Handle Outliers", ASQC Quality Press):

    score = 0.6745 (x - median) / MAD        outlier: |score| > 3.5

with MAD the median absolute deviation, which is 0.6745 standard deviations of a normal variable. Neither median is
moved by the outliers themselves. Logarithms, because stores differ by factors: twice and half as much are equally far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import datetime as dt

    import ibis.expr.types as ir

SCORE_THRESHOLD = 3.5
NORMAL_MAD = 0.6745  # the MAD of a standard normal variable
MIN_DAYS = 8  # of a kind; of fewer nobody knows what is usual
MIN_MAD = 0.01  # of log sales: a store that always sells the same is not odd by selling one per cent more
GROUP_COLUMNS = ("store", "weekday", "promo")


def mark_outliers(store_days: ir.Table, as_of: dt.date) -> ir.Table:
    """The open days with sales before `as_of`, each with how far it is from the usual.

    Args:
        store_days: the clean table; nothing from `as_of` on is read.
        as_of: the first day that is not known.

    Returns:
        store, day, sales, usual (float64, the shop's currency), score (float64, positive above the usual) and outlier
        (boolean). Of days of which there are too few of the kind, usual and score are null and outlier is false.
    """
    days = store_days.filter(store_days.day < ibis.date(as_of), store_days.open, store_days.sales > 0)
    days = days.select(
        "store", "day", "sales", "promo", weekday=days.day.day_of_week.index(), log_sales=days.sales.log()
    )
    usual = days.group_by(*GROUP_COLUMNS).agg(median=days.log_sales.median(), days=days.count())
    days = _join_groups(days, usual.filter(usual.days >= MIN_DAYS).drop("days"))
    days = days.mutate(away=days.log_sales - days.median)
    days = _join_groups(days, days.group_by(*GROUP_COLUMNS).agg(mad=days.away.abs().median()))
    days = days.mutate(score=NORMAL_MAD * days.away / ibis.greatest(days.mad, MIN_MAD))
    return days.select(
        "store",
        "day",
        "sales",
        usual=days.median.exp(),
        score=days.score,
        outlier=(days.score.abs() > SCORE_THRESHOLD).fill_null(False),
    )


def _join_groups(days: ir.Table, kinds: ir.Table) -> ir.Table:
    return days.left_join(kinds, list(GROUP_COLUMNS)).drop(*(f"{name}_right" for name in GROUP_COLUMNS))
