"""Features use what was known on the day of the forecast, and nothing else."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RefusedError
from pipeline.stores import features, state
from pipeline.stores.calendar import CATEGORICAL_COLUMNS
from pipeline.stores.chain import relative_name
from pipeline.stores.features import COLUMNS, store_features
from pipeline.stores.grids import read_grids
from pipeline.stores.levels import LAST_YEAR_COLUMNS
from tests.stores.helpers import AS_OF, HORIZON, plain_days, plain_stores, tables

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.stores.grids import Grids

COUNT = 8


def built(con: Backend, days: pd.DataFrame, as_of: dt.date = AS_OF, *, train: bool = True) -> pd.DataFrame:
    frame = store_features(con, *tables(con, days, plain_stores(COUNT)), as_of, train=train).to_pandas()
    return frame.sort_values(["origin", "store", "day"]).reset_index(drop=True)


def blanked(days: pd.DataFrame) -> pd.DataFrame:
    """Return the days with other sales and customers from AS_OF on, which must not affect a forecast."""
    later = days["day"] >= pd.Timestamp(AS_OF)
    rng = np.random.default_rng(11)
    changed_days = days.copy()
    changed_days.loc[later, "sales"] = rng.permutation(days.loc[later, "sales"].to_numpy()) * 3
    changed_days.loc[later, "customers"] = 0
    return changed_days


def test_there_is_one_row_per_open_day_with_all_columns(con: Backend) -> None:
    days = plain_days(COUNT)
    frame = built(con, days)
    ahead = frame[frame["origin"] == 0]
    inside = days[(days["day"] >= pd.Timestamp(AS_OF)) & days["open"]]
    assert list(frame.columns) == ["store", "day", "origin", "sales", *COLUMNS]
    assert len(ahead) == len(inside)
    assert ahead["sales"].isna().all()
    assert set(ahead["ahead"]) <= set(range(HORIZON))
    assert not frame.duplicated(["store", "day"]).any()
    all_open = ahead.groupby("day").filter(lambda rows: len(rows) == COUNT)
    of_chain = all_open.groupby("day")[[relative_name(name) for name in ("level_28", *LAST_YEAR_COLUMNS)]].mean()
    np.testing.assert_allclose(np.nan_to_num(of_chain), 0, atol=1e-6)


def test_sales_of_the_horizon_and_later_days_are_not_read(con: Backend) -> None:
    days = plain_days(COUNT, until=AS_OF + dt.timedelta(days=HORIZON + 30))
    pd.testing.assert_frame_equal(built(con, days), built(con, blanked(days)))
    cut = days[days["day"] < pd.Timestamp(AS_OF) + pd.Timedelta(days=HORIZON)]
    pd.testing.assert_frame_equal(built(con, days), built(con, cut))


@pytest.mark.parametrize("train", [True, False])
def test_null_sales_of_the_horizon_change_nothing(con: Backend, train: bool) -> None:
    days = plain_days(COUNT)
    blank = days.copy()
    blank.loc[days["day"] >= pd.Timestamp(AS_OF), ["sales", "customers"]] = None
    pd.testing.assert_frame_equal(built(con, days, train=train), built(con, blank, train=train))


@pytest.mark.parametrize("train", [True, False])
def test_the_leak_test_detects_a_shift_of_one_day(con: Backend, monkeypatch: pytest.MonkeyPatch, train: bool) -> None:
    """Every feature of sales is shifted by one day, so that the first day to forecast slips into history."""

    def shifted(con: Backend, store_days: ir.Table, stores: ir.Table, as_of: dt.date, horizon: int) -> Grids:
        original = read_grids(con, store_days, stores, as_of, horizon)
        first = store_days.filter(store_days.day == as_of).order_by("store").to_pandas()
        return replace(
            original,
            sales=np.column_stack([original.sales[:, 1:], first["sales"]]),
            customers=np.column_stack([original.customers[:, 1:], first["customers"]]),
        )

    for module in (features, state):
        monkeypatch.setattr(module, "read_grids", shifted)
    days = plain_days(COUNT)
    with pytest.raises(AssertionError, match="are different"):
        pd.testing.assert_frame_equal(built(con, days, train=train), built(con, blanked(days), train=train))


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.dates(dt.date(2023, 8, 1), dt.date(2024, 7, 20)))
def test_features_as_of_a_day_need_nothing_that_comes_later(as_of: dt.date) -> None:
    con, days = ibis.duckdb.connect(threads=1), plain_days(COUNT)
    past, planned = days["day"] < pd.Timestamp(as_of), days["day"] < pd.Timestamp(as_of) + pd.Timedelta(days=HORIZON)
    cut = days[planned].assign(sales=days["sales"].where(past), customers=days["customers"].where(past).astype("Int64"))
    pd.testing.assert_frame_equal(built(con, days, as_of), built(con, cut, as_of))


def test_training_rows_are_those_as_of_their_own_origin(con: Backend) -> None:
    """A row to train on is the row that would have been forecast on its origin's day, but for what last year says."""
    days = plain_days(COUNT)
    now = built(con, days)
    earlier = AS_OF - dt.timedelta(days=56)
    then = built(con, days, earlier, train=False)
    rows = now[now["origin"] == -56].merge(then, on=["store", "day"], suffixes=("", "_then"))
    assert len(rows) > 30
    exact = [
        name
        for name in COLUMNS
        if name not in CATEGORICAL_COLUMNS
        and not name.startswith(("last_", "recent_", "effect_trend", "season_forecast"))
    ]
    for name in exact:
        np.testing.assert_allclose(rows[name], rows[f"{name}_then"], rtol=2e-3, atol=2e-2, err_msg=name)


def test_a_closure_affects_days_before_and_after_it_but_not_beyond_the_horizon(con: Backend) -> None:
    days = plain_days(COUNT)
    store = built(con, days, dt.date(2024, 2, 12))
    ahead = store[(store["store"] == 1) & (store["origin"] == 0)].set_index("day")
    assert ahead.loc["2024-03-02", "closing"] == 1
    assert ahead.loc["2024-03-02", "closing_length"] == 14
    assert ahead.loc["2024-03-18", "reopened"] == 1
    assert ahead.loc["2024-03-18", "reopened_length"] == 15  # with the Sunday before it
    unseen = built(con, days, dt.date(2024, 1, 22))  # the horizon ends before the closure has lasted long
    last = unseen[(unseen["store"] == 1) & (unseen["origin"] == 0)]
    assert (last["closing"] == 60).all()


def test_a_missing_day_is_no_closure(con: Backend) -> None:
    days = plain_days(COUNT)
    gap = (days["store"] == 2) & days["day"].between("2024-02-01", "2024-03-31")
    frame = built(con, days[~gap])
    store = frame[(frame["store"] == 2) & frame["day"].between("2024-01-01", "2024-04-30")]
    assert (store["closing"] == 60).all()
    assert (store["reopened"] == 60).all()


def test_a_missing_day_is_not_zero(con: Backend) -> None:
    """Half a month without rows leaves a store's levels where they were; the same days without sales are not read."""
    days = plain_days(COUNT)
    gap = (days["store"] == 2) & days["day"].between("2024-06-01", "2024-06-15")
    full, missing, zero = (
        built(con, frame, train=False).query("store == 2")
        for frame in (days, days[~gap], days.assign(sales=days["sales"].mask(gap, 0.0)))
    )
    sales = [name for name in COLUMNS if name.startswith(("linear", "level", "store_level", "last", "recent"))]
    np.testing.assert_allclose(missing[sales], full[sales], atol=0.1)
    np.testing.assert_allclose(zero[sales], missing[sales], atol=1e-5)


def test_promotions_and_holidays_are_counted(con: Backend) -> None:
    frame = built(con, plain_days(COUNT)).query("store == 3 and origin == 0").set_index("day")
    first = frame.index[(frame["promo"] == 1) & (frame["weekday"] == 0)][0]
    assert frame.loc[first, "promo_day"] == 1
    assert frame.loc[first + pd.Timedelta(days=4), "promo_day"] == 5
    assert frame.loc[first + pd.Timedelta(days=4), "promo_ends"] == 1
    assert frame.loc[first + pd.Timedelta(days=5), "promo_since"] == 1


def test_no_history_is_refused(con: Backend) -> None:
    from tests.stores.helpers import FIRST

    with pytest.raises(RefusedError, match="no history"):
        built(con, plain_days(COUNT), FIRST)
