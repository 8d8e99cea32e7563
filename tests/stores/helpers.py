"""A small chain of stores with planted effects, as clean tables in DuckDB."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

FIRST, AS_OF, HORIZON = dt.date(2023, 1, 2), dt.date(2024, 7, 2), 42
PROMOTION = 0.35  # of log sales
NOISE = 0.05


def plain_stores(count: int) -> pd.DataFrame:
    """Stores of two types and two states; the last knows of no competitor and no Promo2."""
    rows = [
        {
            "store": k + 1,
            "store_type": "ab"[k % 2],
            "assortment": "ac"[k // 2 % 2],
            "competition_distance": None if k == count - 1 else 100.0 * (k + 1),
            "competition_since": None if k == count - 1 else dt.date(2020, 1, 1),
            "promo2": k % 2 == 0,
            "promo2_since": dt.date(2022, 1, 3) if k % 2 == 0 else None,
            "promo2_months": "Jan,Apr,Jul,Oct" if k % 2 == 0 else None,
            "state": ["NW", "BY", None][k % 3],
        }
        for k in range(count)
    ]
    return pd.DataFrame(rows)


def plain_days(count: int, *, seed: int = 3, until: dt.date = AS_OF + dt.timedelta(days=HORIZON)) -> pd.DataFrame:
    """Closed on Sundays, promotion in every other week from Monday to Friday, one long closure at store 1."""
    rng = np.random.default_rng(seed)
    days = pd.date_range(FIRST, until, inclusive="left")
    rows = pd.MultiIndex.from_product([range(1, count + 1), days], names=["store", "day"]).to_frame(index=False)
    week = (rows["day"] - pd.Timestamp(FIRST)).dt.days // 7
    weekday = rows["day"].dt.weekday
    rows["promo"] = (week % 2 == 0) & (weekday < 5)
    holiday = (rows["day"].dt.month == 5) & (rows["day"].dt.day == 1)
    rows["state_holiday"] = np.where(holiday, "public", "none")
    rows["school_holiday"] = rows["day"].dt.month == 8
    shut = (rows["store"] == 1) & rows["day"].between("2024-03-04", "2024-03-17")
    rows["open"] = (weekday < 6) & ~holiday & ~shut
    level = 8 + 0.1 * rows["store"] + 0.1 * np.sin(weekday) + PROMOTION * rows["promo"]
    sales = np.exp(level + rng.normal(0, NOISE, len(rows)))
    rows["sales"] = np.where(rows["open"], np.round(sales, 2), 0.0)
    rows["customers"] = np.where(rows["open"], np.round(sales / 9), 0).astype("int64")
    return rows[["store", "day", "sales", "customers", "open", "promo", "state_holiday", "school_holiday"]]


def tables(con: Backend, days: pd.DataFrame, stores: pd.DataFrame) -> tuple[ibis.Table, ibis.Table]:
    """Both as clean tables."""
    schema = {
        "store": "int64", "store_type": "string", "assortment": "string", "competition_distance": "float64",
        "competition_since": "date", "promo2": "boolean", "promo2_since": "date", "promo2_months": "string",
        "state": "string",
    }  # fmt: skip
    made = con.create_table(ibis.util.gen_name("stores"), stores, schema=schema)
    rows = con.create_table(ibis.util.gen_name("days"), days)
    return rows.mutate(day=rows.day.cast("date")), made
