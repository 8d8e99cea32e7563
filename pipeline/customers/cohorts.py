"""Cohort retention: of the customers whose first purchase was in a month, how many bought again in each later month."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

MAX_COHORTS = 24


def retention(con: Backend, transactions: ir.Table, as_of: dt.date) -> pd.DataFrame:
    """Count the customers of each cohort who bought in each month since.

    Months are calendar months. Only those that have ended count, so that no share is of a part of a month.

    Args:
        con: the engine.
        transactions: the clean table, of all days.
        as_of: only what happened before midnight of this day is used.

    Returns:
        One row per cohort, the newest `MAX_COHORTS`, the oldest first; the index is the first day of the month of the
        first purchase. `customers` is the cohort's size, and column n (an int, 0 is the month itself) the share that
        bought something in the n-th month after it; missing for months that have not ended. Empty before the first
        month with a sale has ended.
    """
    t, until = transactions, as_of.replace(day=1)
    sales = t.filter(
        t.invoiced_at < ibis.timestamp(dt.datetime.combine(until, dt.time.min)),
        t.is_product,
        t.kind == "sale",
        t.customer_id.notnull(),
    )
    month = sales.invoiced_at.year() * 12 + sales.invoiced_at.month() - 1
    active = sales.select("customer_id", month=month).distinct()
    cohorts = active.group_by("customer_id").agg(cohort=active.month.min())
    joined = active.join(cohorts, "customer_id")
    counts = con.to_pandas(
        joined.group_by("cohort", age=joined.month - joined.cohort).agg(customers=joined.customer_id.nunique())
    )
    last = until.year * 12 + until.month - 2
    counts = counts[counts["cohort"] > last - MAX_COHORTS]
    if counts.empty:
        return pd.DataFrame(columns=["customers"])
    table = counts.pivot(index="cohort", columns="age", values="customers").reindex(
        columns=range(int(last - counts["cohort"].min()) + 1)
    )
    cohorts_in_order, bought = table.index.to_numpy(dtype=np.int64), table.to_numpy(dtype=np.float64)
    # A month in which nobody bought is 0; one that has not ended is missing.
    ended = cohorts_in_order[:, None] + np.arange(bought.shape[1]) <= last
    shares = np.where(ended, np.nan_to_num(bought) / bought[:, :1], np.nan)
    first_days = [dt.date(int(number) // 12, int(number) % 12 + 1, 1) for number in cohorts_in_order]
    found = pd.DataFrame(shares, index=pd.Index(first_days))
    found.insert(0, "customers", bought[:, 0].astype(np.int64))
    return found
