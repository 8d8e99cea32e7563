"""Read the clean tables into arrays: attributes of stores, and grids of stores x days."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np

from pipeline.errors import RefusedError
from pipeline.stores.calendar import CATEGORICAL_COLUMNS, HOLIDAY_CODES, UNKNOWN, Plan

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend
    from numpy.typing import NDArray

    from pipeline.stores.calendar import Columns

    Floats = NDArray[np.floating]

BLOCK_DAYS = 14
"""Days between two origins; a grid starts a multiple of them before as_of."""
MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class StoreAttributes:
    """Attributes of the stores, ordered by store number: (S,) each, unless stated otherwise.

    Attributes:
        numbers: the store numbers, ascending.
        promo2_since: first day of the continuing promotion Promo2, NaT if the store has none.
        promo2_months: (S, 12), the months in which a round of Promo2 starts.
        competition_since: day on which the nearest competitor opened, NaT if unknown.
        distance: metres to the nearest competitor, NaN if unknown.
        categories: the values of each of `CATEGORICAL_COLUMNS`.
    """

    numbers: NDArray[np.int64]
    promo2_since: NDArray[np.datetime64]
    promo2_months: NDArray[np.bool_]
    competition_since: NDArray[np.datetime64]
    distance: Floats
    categories: dict[str, NDArray[np.object_]]

    def rows(self, store: NDArray[np.int64], day: NDArray[np.datetime64]) -> Columns:
        """Return `calendar.STORE_COLUMNS` and `CATEGORICAL_COLUMNS` of n days.

        Args:
            store: index of each day's store, (n,).
            day: the days, (n,).
        """
        weeks = _day_counts(day - self.promo2_since[store]) / 7
        month = day.astype("datetime64[M]").astype(int) % 12
        return {
            "promo2_weeks": np.clip(weeks, -52, 156),
            "promo2_month": (weeks >= 0) & self.promo2_months[store, month],
            "competition_months": np.clip(_day_counts(day - self.competition_since[store]) / 30, -24, 60),
            "competition_distance": np.log(self.distance[store] + 1),
            **{name: values[store] for name, values in self.categories.items()},
        }


@dataclass(frozen=True)
class Grids:
    """Stores, their days from the first of history to the last planned one, and the outcomes of past days.

    Attributes:
        stores: attributes of the stores.
        plan: all days, recorded and planned.
        sales: (S, days before as_of), NaN where closed or unknown.
        customers: (S, days before as_of), NaN where closed or unknown.
    """

    stores: StoreAttributes
    plan: Plan
    sales: Floats
    customers: Floats


def read_grids(con: Backend, store_days: ir.Table, stores: ir.Table, as_of: dt.date, horizon: int) -> Grids:
    """Read the days before the end of the horizon; of days from `as_of` on, neither sales nor customers are read.

    Args:
        con: the engine of both tables.
        store_days: the clean table.
        stores: the clean table.
        as_of: the first day to forecast.
        horizon: days to forecast.

    Raises:
        RefusedError: if no store of the table of stores has an open day before as_of.
    """
    past = store_days.day < ibis.date(as_of)
    end = as_of + dt.timedelta(days=horizon)
    rows = store_days.filter(store_days.day < ibis.date(end)).select(
        "store",
        "open",
        "promo",
        t=store_days.day.delta(ibis.date(as_of), unit="day").cast("int64"),
        school=store_days.school_holiday,
        holiday=store_days.state_holiday.cases(*HOLIDAY_CODES.items(), else_=0).cast("int8"),
        sales=ibis.ifelse(past, store_days.sales, None).cast("float64"),
        customers=ibis.ifelse(past, store_days.customers, None).cast("float64"),
    )
    table = con.to_pyarrow(rows)
    days = {name: table[name].to_numpy() for name in table.column_names}
    attributes = _read_store_attributes(con, stores, days["store"][days["open"]])
    kept = np.isin(days["store"], attributes.numbers)
    days = {name: values[kept] for name, values in days.items()}
    if not (days["t"][days["open"]] < 0).any():
        raise RefusedError(
            "there is no history to forecast from",
            where="table store_days",
            observed=f"no open day before {as_of}",
            todo="ingest earlier store days, or move as_of later",
        )
    first = int(days["t"].min()) // BLOCK_DAYS * BLOCK_DAYS
    cells = np.searchsorted(attributes.numbers, days["store"]), days["t"] - first
    shape = (len(attributes.numbers), horizon - first)

    def to_grid(name: str, dtype: type, missing: float = 0) -> NDArray[Any]:
        grid: NDArray[Any] = np.full(shape, missing, dtype)
        grid[cells] = days[name]
        return grid

    days["known"] = np.ones(len(days["t"]), bool)
    planned = {name: to_grid(name, bool) for name in ("known", "open", "promo", "school")}
    plan = Plan(np.datetime64(as_of), first, **planned, holiday=to_grid("holiday", np.int8))
    sales, customers = (
        np.where(plan.open, to_grid(name, float, np.nan), np.nan)[:, :-first] for name in ("sales", "customers")
    )
    return Grids(attributes, plan, sales, customers)


def _read_store_attributes(con: Backend, stores: ir.Table, wanted: NDArray[np.int64]) -> StoreAttributes:
    """Read the attributes of the wanted stores; stores that the table does not have are left out."""
    attributes = stores.select(
        "store",
        *("promo2_since", "promo2_months", "competition_since"),
        distance=stores.competition_distance.cast("float64"),
        **{name: stores[name].fill_null(UNKNOWN) for name in CATEGORICAL_COLUMNS},
    )
    table = con.to_pyarrow(attributes.order_by("store"))
    rows = table.filter(np.isin(table["store"].to_numpy(), wanted)).to_pydict()
    return StoreAttributes(
        numbers=np.array(rows["store"], np.int64),
        promo2_since=np.array(rows["promo2_since"], "datetime64[D]"),
        promo2_months=np.array(
            [[month in (months or "") for month in MONTH_NAMES] for months in rows["promo2_months"]], bool
        ),
        competition_since=np.array(rows["competition_since"], "datetime64[D]"),
        distance=np.array(rows["distance"], float),
        categories={name: np.array(rows[name], object) for name in CATEGORICAL_COLUMNS},
    )


def _day_counts(spans: NDArray[np.timedelta64]) -> Floats:
    """Convert time spans to numbers of days; NaT becomes NaN."""
    return np.where(np.isnat(spans), np.nan, spans.astype(int))
