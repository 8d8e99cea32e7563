"""Store days in, one row of features an open store day out: what a forecast made on an earlier day could know.

As of and origin
    Every row belongs to an origin, the day its forecast is made: the row reads sales from before its origin only, and
    calendar, promotions, holidays and closures up to the origin's horizon. Rows to forecast have the origin `as_of`.
    Rows of history, to train on, have origins `BLOCK` days apart back from as_of, each store its own third of them, so
    that each past day is forecast once, from 0 to horizon - 1 days ahead: the model trains on what it will meet.
    One thing is looser: the effects that last year's levels are cleared of (weekday, promotion, ...) are those
    known as of `as_of` for every row. None of it comes from as_of or later.

The groups of columns
    KNOWN      known in advance (see calendar.py)
    LINEAR     what linear models as of the origin say, and where the store stands about them (see linear.py)
    LAST       last year: the level of the store, its state and its kind around the same weekday 52 (104) weeks ago,
               against the twelve weeks that came before that time's origin
    RECENT     the last two and eight weeks of the store's state, and kind, against their year
    ahead      days from the origin to the day, 0 for the first
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis

from pipeline.errors import RefusedError
from pipeline.stores.calendar import KNOWN, WORDS, known_days, seen_from
from pipeline.stores.linear import BLOCK, LINEAR, PARTS, linear

if TYPE_CHECKING:
    import datetime as dt

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

YEAR = 364  # days: whole weeks, so that weekdays meet
AROUND = (3, 10, 21)  # days to either side of the same day of an earlier year
BEFORE = 84  # days before the origin's own day of that year
GROUPS = {"store": ("store",), "state": ("state",), "kind": ("store_type", "assortment")}
LAST_OF = ((1, "store"), (2, "store"), (1, "state"), (2, "state"), (1, "kind"))  # years back, group
RECENT_OF = ("state", "kind")
RECENT_DAYS = (14, 56)


def _last(years: int, group: str, around: int) -> str:
    return f"last_{years}_{group}_{around}"


LAST: tuple[str, ...] = tuple(_last(years, group, around) for years, group in LAST_OF for around in AROUND)
RECENT: tuple[str, ...] = tuple(f"recent_{group}_{days}" for group in RECENT_OF for days in RECENT_DAYS)
FEATURES: tuple[str, ...] = (*KNOWN, *LINEAR, *LAST, *RECENT, "ahead")
KEYS = ("store", "day", "origin", "sales")
HISTORY = 182  # days of history before the first origin


def store_features(
    con: Backend, store_days: ir.Table, stores: ir.Table, as_of: dt.date, *, horizon: int = 42, train: bool = True
) -> ir.Table:
    """The features of the open days of the horizon and, with `train`, of history.

    Args:
        con: the engine both tables belong to; the result is a table of it, the caller's to drop.
        store_days, stores: the clean tables.
        as_of: the first day to forecast; sales and customers from it on are not read.
        horizon: days to forecast, whole blocks of `BLOCK` days.

    Returns:
        store, day, origin (int64, days from as_of; 0 for the rows to forecast), sales (float64; null from as_of on and
        on days without sales) and `FEATURES`: float32, null where history has no answer, but for `WORDS` (str).

    Raises:
        RefusedError: no open day lies before as_of.
    """
    days = con.create_table(ibis.util.gen_name("known_days"), known_days(store_days, stores, as_of, horizon))
    past = store_days.filter(store_days.day < ibis.date(as_of)).select("store", "day", "sales", "customers")
    sold = days.left_join(past, ["store", "day"]).drop("store_right", "day_right")
    numbers = [name for name in KNOWN if name not in WORDS]
    read = (
        sold.select("store", "t", "sales", "customers", "closing_start", *numbers).order_by("store", "t").to_pyarrow()
    )
    if not (read["t"].to_numpy() < 0).any():
        raise RefusedError(
            "there is no history to forecast from",
            where="table store_days",
            observed=f"no open day before {as_of}",
            todo="ingest earlier store days, or move as_of later",
        )
    columns = {name: read[name].to_numpy() for name in read.column_names}
    found = linear(columns, horizon, every=horizon // BLOCK, history=HISTORY if train else None)
    rows_of_linear = con.create_table(ibis.util.gen_name("linear_rows"), found.rows)
    adjusted = con.create_table(ibis.util.gen_name("adjusted"), found.adjusted)
    rows = seen_from(rows_of_linear.join(sold.drop("customers"), ["store", "t"]), horizon)
    levels = adjusted.join(days.select("store", "t", *WORDS), ["store", "t"])
    rows = _histories(rows, levels, days)
    values = rows.mutate(ahead=rows.t - rows.origin)
    made = values.select(
        "store",
        "day",
        "origin",
        sales=values.sales.nullif(0),
        **{name: values[name] if name in WORDS else values[name].cast("float32") for name in FEATURES},
    ).order_by("store", "day", "origin")
    features = con.create_table(ibis.util.gen_name("store_features"), made)
    for step in (days, rows_of_linear, adjusted):
        con.drop_table(step.op().name)
    return features


def _histories(rows: ir.Table, levels: ir.Table, days: ir.Table) -> ir.Table:
    """Adds LAST and RECENT: for each group of stores one table by day and one by origin, from a dense table of days."""
    every_day = ibis.range(levels.t.min().as_scalar(), days.t.max().as_scalar() + 1).unnest().name("t").as_table()
    for group, keys in GROUPS.items():
        daily = levels.group_by(*keys, "t").agg(total=levels.adjusted.sum(), count=levels.count())
        dense = every_day.cross_join(days.select(*keys).distinct()).left_join(daily, [*keys, "t"])
        dense = dense.select(*keys, "t", "total", "count")
        years = [k for k, name in LAST_OF if name == group]
        same_day = {
            _last(k, group, around): _mean(dense, keys, k * YEAR + around, k * YEAR - around)
            for k in years
            for around in AROUND
        }
        before = {f"before_{k}": _mean(dense, keys, k * YEAR + BEFORE, k * YEAR + 1) for k in years}
        recent = {
            f"recent_{group}_{back}": _mean(dense, keys, back, 1) - _mean(dense, keys, YEAR, 1)
            for back in RECENT_DAYS
            if group in RECENT_OF
        }
        rows = _left(rows, dense.select(*keys, "t", **same_day), (*keys, "t"))
        rows = _left(rows, dense.select(*keys, origin="t", **before, **recent), (*keys, "origin"))
        against = {
            _last(k, group, around): rows[_last(k, group, around)] - rows[f"before_{k}"]
            for k in years
            for around in AROUND
        }
        rows = rows.mutate(**against).drop(*before)
    return rows


def _mean(dense: ir.Table, keys: tuple[str, ...], back: int, until: int) -> ir.NumericValue:
    """The mean level from `back` to `until` days before each row's t, both included; sums of whole numbers are
    exact."""
    window = ibis.window(group_by=keys, order_by="t", preceding=(back, until))
    return dense.total.sum().over(window) / dense["count"].sum().over(window).nullif(0) / PARTS


def _left(rows: ir.Table, others: ir.Table, keys: tuple[str, ...]) -> ir.Table:
    joined = rows.left_join(others, list(keys))
    return joined.drop(*(f"{key}_right" for key in keys if f"{key}_right" in joined.columns))
