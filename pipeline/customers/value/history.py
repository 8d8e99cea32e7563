"""What expected value is learned from: customers on earlier days, what they bought since, and the season."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from pipeline.customers.clean_lines import transactions_of
from pipeline.customers.domain import DOMAIN
from pipeline.customers.features import customer_features
from pipeline.customers.value.bgnbd import Visits
from pipeline.customers.value.model import COLUMNS, HORIZON_DAYS, ValueWindow, season_effect, season_factor
from pipeline.errors import RefusedError
from pipeline.ingestion.sources import load_sources

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.settings import Settings
    from pipeline.training.spec import Run

WINDOWS, STEP = 7, dt.timedelta(days=15)
HORIZON = dt.timedelta(days=HORIZON_DAYS)
MIN_HISTORY = dt.timedelta(days=90)
"""What must be known before the first window."""
SEASON_YEARS = 3
CHECKS = 3


@dataclass(frozen=True)
class ValueData:
    """What a training reads.

    Attributes:
        newest: the window of the gate, which is never fitted.
        earlier: windows whose horizon ends before it, newest first.
        visits: of the newest window's customers, for the baseline.
        before: windows before the first of `earlier`, each a horizon before the next, newest first; as many as the
            history has, but at most `CHECKS`. They tell how far totals were off earlier.
    """

    newest: ValueWindow
    earlier: tuple[ValueWindow, ...]
    visits: Visits
    before: tuple[ValueWindow, ...] = ()


def load(run: Run) -> ValueData:
    """Read the newest window whose horizon has passed, and the earlier ones.

    Raises:
        RefusedError: if the history is too short for a window to fit on and one to measure on.
    """
    con, transactions = transactions_of(run)
    return read_windows(con, transactions, run.as_of - HORIZON, run.settings)


def read_windows(con: Backend, transactions: ir.Table, cut: dt.date, settings: Settings) -> ValueData:
    """Read the window that starts on a day, and the earlier ones.

    Raises:
        RefusedError: as `load`.
    """
    first = con.to_pyarrow(transactions.filter(transactions.customer_id.notnull()).invoiced_at.min()).as_py()
    cuts = [cut - HORIZON - number * STEP for number in range(WINDOWS)]
    checks = [cut - HORIZON - number * HORIZON for number in range(1, CHECKS + 1)]
    usable, before = (
        [start for start in starts if first is not None and start - MIN_HISTORY >= first.date()]
        for starts in (cuts, checks)
    )
    if not usable:
        raise RefusedError(
            "The history is too short to learn expected value",
            where=f"{DOMAIN.input_table}, before {cut + HORIZON}",
            observed="no line of a known customer" if first is None else f"lines since {first.date()}",
            allowed=f"at least {(2 * HORIZON + MIN_HISTORY).days} days",
            todo="ingest more days, or choose a later as-of day",
        )
    newest = _window(con, transactions, cut, settings)
    visits = visits_of(con, transactions, cut, newest.features["customer_id"], settings.window_days)
    windows = {start: _window(con, transactions, start, settings) for start in {*usable, *before}}
    return ValueData(
        newest, tuple(windows[start] for start in usable), visits, tuple(windows[start] for start in before)
    )


def season_on(con: Backend, transactions: ir.Table, as_of: dt.date) -> float:
    """The season of the horizon from a day, by the days before it."""
    lines = _lines(transactions, as_of - dt.timedelta(days=365 * SEASON_YEARS), as_of)
    sales = lines.filter(lines.quantity > 0)
    daily = con.to_pandas(sales.group_by("day").agg(revenue=sales.amount.sum()).order_by("day"))
    daily = daily[daily["revenue"] > 0]
    days = [pd.Timestamp(day).date() for day in daily["day"]]
    return season_factor(season_effect(days, daily["revenue"].to_numpy(dtype=np.float64)), as_of)


def visits_of(con: Backend, transactions: ir.Table, as_of: dt.date, customers: pd.Series, window_days: int) -> Visits:
    """What the baseline knows of customers on a day.

    Args:
        con: the engine.
        transactions: the clean table.
        as_of: only what happened before midnight of this day is used.
        customers: their ids, in the order of the result.
        window_days: length of the window in days.
    """
    lines = _lines(transactions, as_of - dt.timedelta(days=window_days), as_of)
    sales = lines.filter(lines.quantity > 0)
    days = sales.group_by("customer_id", "day").agg(amount=sales.amount.sum())
    firsts = days.group_by("customer_id").agg(first=days.day.min(), last=days.day.max(), days=days.count())
    joined = days.join(firsts, "customer_id")
    again = joined.filter(joined.day > joined["first"]).group_by("customer_id").agg(value=ibis._.amount.mean())
    rows = con.to_pandas(firsts).set_index("customer_id").reindex(customers)
    value = con.to_pandas(again).set_index("customer_id")["value"].reindex(customers).fillna(0.0)
    first, last = pd.to_datetime(rows["first"]), pd.to_datetime(rows["last"])
    return Visits(
        repeats=rows["days"].to_numpy(dtype=np.float64) - 1,
        last=(last - first).dt.days.to_numpy(dtype=np.float64),
        age=(pd.Timestamp(as_of) - first).dt.days.to_numpy(dtype=np.float64),
        value=value.to_numpy(dtype=np.float64),
    )


def _window(con: Backend, transactions: ir.Table, as_of: dt.date, settings: Settings) -> ValueWindow:
    home = load_sources(settings).spec.home_country
    expression = customer_features(transactions, as_of, window_days=settings.window_days, home_country=home)
    features = con.to_pandas(expression.select("customer_id", *COLUMNS).order_by("customer_id"))
    lines = _lines(transactions, as_of, as_of + HORIZON)
    since = lines.group_by("customer_id").agg(
        revenue=lines.amount.sum(), purchases=lines.invoice.nunique(where=lines.quantity > 0)
    )
    outcome = con.to_pandas(since).set_index("customer_id").reindex(features["customer_id"]).fillna(0.0)
    return ValueWindow(
        as_of,
        features,
        outcome["purchases"].to_numpy(dtype=np.float64),
        outcome["revenue"].to_numpy(dtype=np.float64),
        season_on(con, transactions, as_of),
    )


def _lines(transactions: ir.Table, since: dt.date, until: dt.date) -> ir.Table:
    """Sales and returns of products to known customers in `[since, until)`."""
    t = transactions
    lines = t.filter(
        t.invoiced_at >= ibis.timestamp(dt.datetime.combine(since, dt.time.min)),
        t.invoiced_at < ibis.timestamp(dt.datetime.combine(until, dt.time.min)),
        t.is_product,
        t.kind.isin(["sale", "return"]),
        t.customer_id.notnull(),
    )
    # Summed as whole parts of money, so that the order of the rows does not matter.
    amount = (lines.unit_price * 10_000).round().cast("int64") * lines.quantity
    return lines.select(
        "customer_id",
        "invoice",
        "quantity",
        day=lines.invoiced_at.date(),
        amount=amount.cast("decimal(38, 0)") / 10_000,
    )
