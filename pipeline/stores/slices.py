"""Divide the rows of a fold into slices: kinds of stores, kinds of days, seasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import datetime as dt

    import ibis.expr.types as ir

SLICED_COLUMNS = ("store", "day", "ahead", "store_type", "assortment", "promo", "holiday_since", "holiday_until")
"""The features from which slices are told apart."""
HORIZON_THIRDS = ("first two weeks", "middle two weeks", "last two weeks")
SEASONS = ("winter", "spring", "summer", "autumn")
"""Meteorological: winter is December to February."""
HOLIDAY_DAYS = 6
"""A day no further from a state holiday is in a holiday week."""
YEAR_DAYS = 365
FEW_OPEN_DAYS = 200
"""Days with sales within a year below which a store was closed for long; one that closes on Sundays has 300."""


def store_histories(store_days: ir.Table, start: dt.date) -> pd.DataFrame:
    """Return what is known of each store on a fold's first day: first (day with sales) and open_days of the last year.

    Args:
        store_days: the clean table.
        start: the fold's first day.
    """
    past = store_days.filter((store_days.day < ibis.date(start)) & (store_days.sales > 0))
    a_year_ago = ibis.date((pd.Timestamp(start) - pd.Timedelta(days=YEAR_DAYS)).date())
    known = past.group_by("store").agg(first=past.day.min(), open_days=(past.day >= a_year_ago).sum())
    histories: pd.DataFrame = known.to_pandas().set_index("store")
    return histories


def slices(rows: pd.DataFrame, histories: pd.DataFrame, start: dt.date) -> dict[str, pd.Series]:
    """Return the name of each slice with a mask of its rows.

    Args:
        rows: features of the days of a fold.
        histories: `store_histories` as of the fold's first day.
        start: that day.
    """
    found: dict[str, pd.Series] = {}
    for column, label in (("store_type", "store type"), ("assortment", "assortment")):
        found |= {f"{label}: {value}": rows[column] == value for value in sorted(rows[column].unique())}
    found |= {"promotion: yes": rows["promo"] > 0, "promotion: no": rows["promo"] == 0}
    season = pd.to_datetime(rows["day"]).dt.month % 12 // 3
    found |= {f"season: {name}": season == k for k, name in enumerate(SEASONS)}
    near_holiday = rows[["holiday_since", "holiday_until"]].min(axis=1) <= HOLIDAY_DAYS
    found |= {"holiday week: yes": near_holiday, "holiday week: no": ~near_holiday}
    known = histories.reindex(rows["store"])
    age = (pd.Timestamp(start) - pd.to_datetime(known["first"])).dt.days.to_numpy()
    new = pd.Series(~(age >= YEAR_DAYS), rows.index)
    long_closed = pd.Series((known["open_days"] < FEW_OPEN_DAYS).to_numpy(bool), rows.index) & ~new
    found |= {"new store": new, "store was closed for long": long_closed}
    third = np.asarray(rows["ahead"] * 3 // (rows["ahead"].max() + 1), int)
    return found | {name: pd.Series(third == k, rows.index) for k, name in enumerate(HORIZON_THIRDS)}
