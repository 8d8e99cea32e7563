"""Folds, metrics, and a backtest that uses no sales of the fold."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RefusedError, UsageError
from pipeline.stores import linear_store, seasonal_median
from pipeline.stores.backtest import backtest, error_metrics
from pipeline.stores.features import MIN_HISTORY_DAYS
from pipeline.stores.folds import folds
from tests.stores.helpers import plain_days, plain_stores, tables

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

COUNT = 12
FITS = {"seasonal_median": seasonal_median.fit, "linear_store": linear_store.fit}


def test_the_folds_of_the_real_data() -> None:
    found = folds(dt.date(2013, 1, 1), dt.date(2015, 7, 31))
    assert [(fold.start.isoformat(), fold.end.isoformat()) for fold in found] == [
        ("2015-03-28", "2015-05-08"),
        ("2015-05-09", "2015-06-19"),
        ("2015-06-20", "2015-07-31"),
    ]


def test_folds_need_history() -> None:
    last = dt.date(2015, 7, 31)
    oldest = folds(dt.date(2013, 1, 1), last)[0].start
    first = oldest - dt.timedelta(days=MIN_HISTORY_DAYS + 42)
    assert folds(first, last)[0].start == oldest, "exactly enough"
    with pytest.raises(RefusedError, match="too little history"):
        folds(first + dt.timedelta(days=1), last)
    with pytest.raises(RefusedError, match="too little history"):
        folds(dt.date(2015, 1, 1), dt.date(2015, 7, 31))
    with pytest.raises(UsageError, match="at least one fold"):
        folds(dt.date(2013, 1, 1), dt.date(2015, 7, 31), count=0)


def test_metrics_are_those_calculated_by_hand() -> None:
    found = error_metrics(np.array([100.0, 200.0]), np.array([110.0, 180.0]))
    assert found["rmspe"] == pytest.approx(0.1)
    assert found["mape"] == pytest.approx(0.1)
    assert found["rmse"] == pytest.approx(np.sqrt(250))
    assert found["mae"] == pytest.approx(15)
    assert found["bias"] == pytest.approx(0)
    assert found["wape"] == pytest.approx(0.1)
    assert found["bias_total"] == pytest.approx(-10 / 300)
    assert found["r2"] == pytest.approx(1 - 500 / 5000)


def test_constant_sales_have_an_r2_of_zero() -> None:
    """Metrics are stored as JSON, which knows no NaN."""
    assert error_metrics(np.array([100.0, 100.0]), np.array([110.0, 90.0]))["r2"] == 0.0


@given(st.floats(0.5, 2), st.lists(st.floats(1, 1e5), min_size=2, max_size=20))
def test_rmspe_does_not_depend_on_the_currency(rate: float, sales: list[float]) -> None:
    actual = np.array(sales)
    forecast = actual[::-1]
    assert error_metrics(actual * rate, forecast * rate)["rmspe"] == pytest.approx(
        error_metrics(actual, forecast)["rmspe"]
    )


def test_a_backtest_reports_metrics_slices_and_intervals(con: Backend) -> None:
    days, stores = tables(con, plain_days(COUNT), plain_stores(COUNT))
    found = backtest(con, days, stores, FITS, seed=7, count=1, calibration_folds=1)
    record = found.as_dict("linear_store")
    fold = record["folds"][0]
    assert record["model"] == "linear_store"
    assert set(fold) == {"from", "to", "metrics", "slices", "sums", "seconds", "peak_mb"}
    assert fold["metrics"]["rmspe"] < 0.1
    assert 0.6 < fold["metrics"]["coverage_80"] < 0.95
    assert fold["metrics"]["width_80"] < fold["metrics"]["width_95"]
    thirds = [fold["slices"][name]["rows"] for name in ("first two weeks", "middle two weeks", "last two weeks")]
    assert sum(thirds) == fold["metrics"]["rows"]
    assert "promotion: yes" in fold["slices"]
    assert "store type: a" in fold["slices"]
    seasons = [
        fold["slices"][f"season: {name}"]["rows"]
        for name in ("spring", "summer")
        if f"season: {name}" in fold["slices"]
    ]
    assert sum(seasons) == fold["metrics"]["rows"]
    assert {kind: sums["sums"] for kind, sums in fold["sums"].items()} == {
        "chain": 1,
        "chain_week": 6,
        "state": 3,
        "state_week": 18,
        "store_type": 2,
        "store": COUNT,
        "store_week": 6 * COUNT,
    }
    assert record["mean"]["rmspe"] == fold["metrics"]["rmspe"]


def test_sales_of_the_fold_do_not_reach_its_forecasts(con: Backend) -> None:
    original = plain_days(COUNT)
    changed_days = original.copy()
    later = changed_days["day"] >= changed_days["day"].max() - np.timedelta64(41, "D")
    changed_days.loc[later, "sales"] *= 3
    changed_days.loc[later, "customers"] *= 3
    forecasts = []
    for frame in (original, changed_days):
        days, stores = tables(con, frame, plain_stores(COUNT))
        found = backtest(con, days, stores, FITS, seed=7, count=1, calibration_folds=0)
        forecasts.append(found.forecasts["mean"].to_numpy())
        assert "coverage_80" not in found.results["linear_store"][0].metrics
    np.testing.assert_array_equal(*forecasts)
