"""On real store days, nothing of the days to forecast but their plan affects the forecasts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pytest

from benchmarks.stores import clean_tables
from pipeline.stores import gradient_boosting
from pipeline.stores.features import feature_rows, planned_days, store_features
from pipeline.stores.model import forecast_rows, to_frame, training_rows
from pipeline.stores.state import store_state

if TYPE_CHECKING:
    from pathlib import Path

    from ibis.backends.duckdb import Backend

pytestmark = pytest.mark.open_data
AS_OF = dt.date(2015, 6, 20)
COUNT = 100  # stores: enough to show a leak, few enough to be quick


@pytest.fixture(scope="module")
def con() -> Backend:
    return ibis.duckdb.connect(threads=2)


@pytest.fixture(scope="module")
def real(con: Backend, open_data: Path) -> tuple[ibis.Table, ibis.Table]:
    """The days of some stores, and the stores."""
    if not (open_data / "rossmann_train.parquet").exists():
        pytest.skip(f"no store days in {open_data}")
    days, stores = clean_tables(con, open_data)
    return con.create_table("some_days", days.filter(days.store <= COUNT)), stores


def forecasts(con: Backend, days: ibis.Table, stores: ibis.Table) -> tuple[pd.DataFrame, np.ndarray]:
    """Features of history and of the fold, and what is forecast from them."""
    made = to_frame(store_features(con, days, stores, AS_OF))
    return made, gradient_boosting.fit(training_rows(made), 7).predict(forecast_rows(made))


def test_no_sale_of_the_fold_reaches_its_forecasts(
    con: Backend, real: tuple[ibis.Table, ibis.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradient_boosting, "ROUNDS", 20)
    days, stores = real
    later = days.day >= ibis.date(AS_OF)
    order = ibis.window(order_by=ibis.random())
    shuffled = days.mutate(
        shuffled_sales=days.sales.lag(1).over(order), shuffled_customers=days.customers.lag(1).over(order)
    )
    spoilt = shuffled.mutate(
        sales=ibis.ifelse(later, shuffled.shuffled_sales * 3, days.sales),
        customers=ibis.ifelse(later, shuffled.shuffled_customers, days.customers),
    ).drop("shuffled_sales", "shuffled_customers")
    blank = days.mutate(sales=ibis.ifelse(later, None, days.sales), customers=ibis.ifelse(later, None, days.customers))
    features, forecast = forecasts(con, days, stores)
    assert len(forecast) > COUNT * 30
    for changed in (spoilt, blank):
        again, forecast_again = forecasts(con, con.create_table(ibis.util.gen_name("changed"), changed), stores)
        pd.testing.assert_frame_equal(again, features)
        np.testing.assert_array_equal(forecast_again, forecast)


def test_a_state_gives_the_rows_of_the_training_pass(con: Backend, real: tuple[ibis.Table, ibis.Table]) -> None:
    """The rows to forecast by themselves are those at the end of training's pass."""
    state = store_state(con, *real, AS_OF)
    ahead = forecast_rows(to_frame(store_features(con, *real, AS_OF))).reset_index(drop=True)
    pd.testing.assert_frame_equal(feature_rows(state, planned_days(state)), ahead)
