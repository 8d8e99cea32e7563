"""The clean tables as arrays: what is known of each store, and grids of stores x days."""

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

BLOCK_DAYS = 14  # days between two origins; a grid begins whole blocks before as_of
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class StoreAttributes:
    """What is known of the stores, by their numbers: (S,) each.

    Attributes:
        promo2_since, competition_since: datetime64[D], NaT where there is none.
        promo2_months: (S, 12), the months in which Promo2 begins anew.
        distance: metres to the nearest competitor, NaN: unknown.
        words: the columns of `CATEGORICAL_COLUMNS`.
    """

    numbers: NDArray[np.int64]
    promo2_since: NDArray[np.datetime64]
    promo2_months: NDArray[np.bool_]
    competition_since: NDArray[np.datetime64]
    distance: Floats
    words: dict[str, NDArray[np.object_]]

    def rows(self, store: NDArray[np.int64], day: NDArray[np.datetime64]) -> Columns:
        """`calendar.ABOUT` and `CATEGORICAL_COLUMNS` of some days, by the places of their stores."""
        weeks = _day_counts(day - self.promo2_since[store]) / 7
        month = day.astype("datetime64[M]").astype(int) % 12
        return {
            "promo2_weeks": np.clip(weeks, -52, 156),
            "promo2_month": (weeks >= 0) & self.promo2_months[store, month],
            "competition_months": np.clip(_day_counts(day - self.competition_since[store]) / 30, -24, 60),
            "competition_distance": np.log(self.distance[store] + 1),
            **{name: words[store] for name, words in self.words.items()},
        }


@dataclass(frozen=True)
class Grids:
    """Stores, their days from the first of history to the last planned, and what came of the past ones.

    Attributes:
        sales, customers: (S, days before as_of), NaN where closed or unknown.
    """

    stores: StoreAttributes
    plan: Plan
    sales: Floats
    customers: Floats


def read_grids(con: Backend, store_days: ir.Table, stores: ir.Table, as_of: dt.date, horizon: int) -> Grids:
    """The tables before the end of the horizon; of days from `as_of` on neither sales nor customers are read.

    Raises:
        RefusedError: no open day of a known store lies before as_of.
    """
    past = store_days.day < ibis.date(as_of)
    end = as_of + dt.timedelta(days=horizon)
    asked = store_days.filter(store_days.day < ibis.date(end)).select(
        "store",
        "open",
        "promo",
        t=store_days.day.delta(ibis.date(as_of), unit="day").cast("int64"),
        school=store_days.school_holiday,
        holiday=store_days.state_holiday.cases(*HOLIDAY_CODES.items(), else_=0).cast("int8"),
        sales=ibis.ifelse(past, store_days.sales, None).cast("float64"),
        customers=ibis.ifelse(past, store_days.customers, None).cast("float64"),
    )
    table = con.to_pyarrow(asked)
    days = {name: table[name].to_numpy() for name in table.column_names}
    about = _read_store_attributes(con, stores, days["store"][days["open"]])
    kept = np.isin(days["store"], about.numbers)
    days = {name: values[kept] for name, values in days.items()}
    opened = days["t"][days["open"]]
    if not (opened < 0).any():
        raise RefusedError(
            "there is no history to forecast from",
            where="table store_days",
            observed=f"no open day before {as_of}",
            todo="ingest earlier store days, or move as_of later",
        )
    first = int(days["t"].min()) // BLOCK_DAYS * BLOCK_DAYS
    cell = np.searchsorted(about.numbers, days["store"]), days["t"] - first
    shape = (len(about.numbers), horizon - first)

    def spread(name: str, dtype: type, nothing: float = 0) -> NDArray[Any]:
        grid: NDArray[Any] = np.full(shape, nothing, dtype)
        grid[cell] = days[name]
        return grid

    days["known"] = np.ones(len(days["t"]), bool)
    planned = {name: spread(name, bool) for name in ("known", "open", "promo", "school")}
    plan = Plan(np.datetime64(as_of), first, **planned, holiday=spread("holiday", np.int8))
    sales, customers = (
        np.where(plan.open, spread(name, float, np.nan), np.nan)[:, :-first] for name in ("sales", "customers")
    )
    return Grids(about, plan, sales, customers)


def _read_store_attributes(con: Backend, stores: ir.Table, asked: NDArray[np.int64]) -> StoreAttributes:
    """Those of the asked stores that the table knows."""
    about = stores.select(
        "store",
        *("promo2_since", "promo2_months", "competition_since"),
        distance=stores.competition_distance.cast("float64"),
        **{name: stores[name].fill_null(UNKNOWN) for name in CATEGORICAL_COLUMNS},
    )
    known = con.to_pyarrow(about.order_by("store"))
    rows = known.filter(np.isin(known["store"].to_numpy(), asked)).to_pydict()
    return StoreAttributes(
        numbers=np.array(rows["store"], np.int64),
        promo2_since=np.array(rows["promo2_since"], "datetime64[D]"),
        promo2_months=np.array(
            [[month in (months or "") for month in MONTHS] for months in rows["promo2_months"]], bool
        ),
        competition_since=np.array(rows["competition_since"], "datetime64[D]"),
        distance=np.array(rows["distance"], float),
        words={name: np.array(rows[name], object) for name in CATEGORICAL_COLUMNS},
    )


def _day_counts(spans: NDArray[np.timedelta64]) -> Floats:
    """Days as numbers, NaN where there is no time."""
    return np.where(np.isnat(spans), np.nan, spans.astype(int))
