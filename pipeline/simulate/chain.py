"""The simulated chain's tables with the column names and codes of its deliveries."""

from __future__ import annotations

from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.simulate.addresses import options_of
from pipeline.simulate.store_days import Chain

PLANNED_DAYS = 48
"""How many days ahead a delivery of plans covers."""
DAYS = {
    "store": "Store",
    "day": "Date",
    "sales": "Sales",
    "customers": "Customers",
    "open": "Open",
    "promo": "Promo",
    "state_holiday": "StateHoliday",
    "school_holiday": "SchoolHoliday",
}
STORES = {
    "store": "Store",
    "store_type": "StoreType",
    "assortment": "Assortment",
    "competition_distance": "CompetitionDistance",
    "competition_since": "CompetitionOpenSince",
    "promo2": "Promo2",
    "promo2_since": "Promo2Since",
    "promo2_months": "PromoInterval",
    "state": "State",
}
HOLIDAYS = {"none": "0", "public": "a", "easter": "b", "christmas": "c"}


def store_days(address: str, start: date, end: date) -> pa.Table:
    """The store days of `[start, end)`, with the column names of `DAYS`."""
    return _delivered(_chain(address).days(start, end), DAYS)


def store_plans(address: str, start: date, end: date) -> pa.Table:
    """The plans for the 48 days after each day of `[start, end)`: `DAYS` without sales and customers."""
    last = end + timedelta(days=PLANNED_DAYS)
    plan = _chain(address).days(start + timedelta(days=1), last).drop_columns(["sales", "customers"])
    return _delivered(plan, DAYS)


def stores(address: str, start: date, end: date) -> pa.Table:  # noqa: ARG001 (stores do not change)
    """All stores, with the column names of `STORES`."""
    return _delivered(_chain(address).stores(), STORES)


def _chain(address: str) -> Chain:
    options = options_of(address, {"seed": int, "stores": int})
    return Chain(seed=options.get("seed", Chain.seed), count=options.get("stores", Chain.count))


def _delivered(table: pa.Table, names: dict[str, str]) -> pa.Table:
    """Rename the columns to the source's names; write truth values as 0 and 1, and holidays as letters."""
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int64())
        if name == "state_holiday":
            position = pc.index_in(column, value_set=pa.array(list(HOLIDAYS)))
            column = pc.take(pa.array(list(HOLIDAYS.values())), position)
        columns[names[name]] = column
    return pa.table(columns)
