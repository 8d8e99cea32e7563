"""Mark store days whose sales are far from the usual sales of their store, weekday and promotion; none is dropped.

Usual sales are the median of log sales over the store's open days of that weekday, with or without promotion. The
distance is the modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle Outliers", 1993):

    score = 0.6745 (x - median) / MAD        outlier: |score| > 3.5

MAD is the median absolute deviation, which is 0.6745 standard deviations for a normal variable. The outliers themselves
hardly affect either median. Logarithms make twice and half as much equally distant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import datetime as dt

    import ibis.expr.types as ir

SCORE_THRESHOLD = 3.5
NORMAL_MAD = 0.6745
"""The MAD of a standard normal variable."""
MIN_DAYS = 8
"""Days that a group needs; with fewer, usual sales are not known."""
MIN_MAD = 0.01
"""Lower limit of the MAD of log sales, so that a store whose sales hardly vary has no outliers of one per cent."""
GROUP_COLUMNS = ("store", "weekday", "promo")


def mark_outliers(store_days: ir.Table, as_of: dt.date) -> ir.Table:
    """Return the open days with sales before `as_of`, each with its distance from usual sales.

    Args:
        store_days: the clean table; nothing from `as_of` on is read.
        as_of: the first day that is not known.

    Returns:
        store, day, sales, usual (float64, the shop's currency), score (float64, positive above the usual) and outlier
        (boolean). In groups of fewer than `MIN_DAYS` days, usual and score are null and outlier
        is false.
    """
    days = store_days.filter(store_days.day < ibis.date(as_of), store_days.open, store_days.sales > 0)
    days = days.select(
        "store", "day", "sales", "promo", weekday=days.day.day_of_week.index(), log_sales=days.sales.log()
    )
    usual = days.group_by(*GROUP_COLUMNS).agg(median=days.log_sales.median(), days=days.count())
    days = _join_groups(days, usual.filter(usual.days >= MIN_DAYS).drop("days"))
    days = days.mutate(deviation=days.log_sales - days.median)
    days = _join_groups(days, days.group_by(*GROUP_COLUMNS).agg(mad=days.deviation.abs().median()))
    days = days.mutate(score=NORMAL_MAD * days.deviation / ibis.greatest(days.mad, MIN_MAD))
    return days.select(
        "store",
        "day",
        "sales",
        usual=days.median.exp(),
        score=days.score,
        outlier=(days.score.abs() > SCORE_THRESHOLD).fill_null(False),
    )


def _join_groups(days: ir.Table, groups: ir.Table) -> ir.Table:
    return days.left_join(groups, list(GROUP_COLUMNS)).drop(*(f"{name}_right" for name in GROUP_COLUMNS))
