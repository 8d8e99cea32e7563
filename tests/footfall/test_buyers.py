"""Buyers from visitors: the open file's figures, the planted line, and errors of days left out."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.errors import RefusedError
from pipeline.footfall import buyers
from pipeline.simulate.footfall import Door


@pytest.fixture(scope="module")
def supermarket(open_data: Path) -> pd.DataFrame:
    days = pd.read_csv(open_data / "supermarket_buyer.csv", encoding="utf-8-sig", dtype=float)
    return days.set_axis(["visitors", "buyers"], axis=1)


@pytest.fixture(scope="module")
def days() -> pd.DataFrame:
    table = Door().days(date(2025, 1, 1), date(2025, 7, 1)).to_pandas()
    return pd.DataFrame({"visitors": table["Visitor"].astype(float), "buyers": table["Buyer"].astype(float)})


@pytest.mark.open_data
def test_the_published_line_and_its_errors(supermarket: pd.DataFrame) -> None:
    model, fit = buyers.train(supermarket)
    assert (fit.intercept.value, fit.slope.value) == pytest.approx((19.38, 0.398), abs=0.005)
    assert (model.intercept_, model.coef_[0]) == pytest.approx((fit.intercept.value, fit.slope.value))
    found = buyers.measure(supermarket["buyers"].to_numpy(), buyers.leave_one_out(supermarket))
    assert found["rmse"] == pytest.approx(2.283, abs=0.0005)
    assert found["r2"] == pytest.approx(0.231, abs=0.0005)
    assert found["mape"] == pytest.approx(0.0533, abs=0.00005), "a fraction"


@pytest.mark.open_data
def test_the_published_third_is_an_example_of_too_little_data(supermarket: pd.DataFrame) -> None:
    assert buyers.one_third(supermarket) == pytest.approx(2.9033, abs=0.00005)
    others = [buyers.one_third(supermarket, seed) for seed in range(20)]
    assert max(others) - min(others) > 0.5


def test_leaving_out_is_refitting_without_the_day(days: pd.DataFrame) -> None:
    rows = days.head(25)
    predicted = buyers.leave_one_out(rows)
    for at in range(len(rows)):
        others = rows.drop(index=at)
        model = LinearRegression().fit(others[["visitors"]], others["buyers"])
        assert predicted[at] == pytest.approx(model.predict(rows.iloc[[at]][["visitors"]])[0])


def test_the_planted_line_is_recovered(days: pd.DataFrame) -> None:
    _, fit = buyers.train(days)
    for coefficient, planted in ((fit.intercept, Door().intercept), (fit.slope, Door().slope)):
        assert coefficient.low < planted < coefficient.high
    assert fit.residual_variance == pytest.approx(Door().spread ** 2, rel=0.3)


def test_intervals_contain_the_stated_share_of_days(days: pd.DataFrame) -> None:
    _, fit = buyers.train(days)
    later = Door().days(date(2025, 7, 1), date(2026, 7, 1)).to_pandas()
    ends = fit.interval(later["Visitor"].to_numpy(dtype=float))
    assert ((later["Buyer"] >= ends[:, 0]) & (later["Buyer"] <= ends[:, 1])).mean() == pytest.approx(0.95, abs=0.03)
    narrow = fit.interval(later["Visitor"].to_numpy(dtype=float), of_a_day=False)
    assert (np.diff(narrow) < np.diff(ends)).all()


def test_a_fit_survives_as_json(days: pd.DataFrame) -> None:
    _, fit = buyers.train(days)
    again = buyers.Fit.from_record(fit.to_record())
    assert again == fit


def test_checks_object_where_they_should(days: pd.DataFrame) -> None:
    _, fit = buyers.train(days)
    assert all(check.sentence.startswith("no ") for check in fit.checks)
    rng = np.random.default_rng(1)
    tails = days.assign(buyers=days["visitors"] + 5 * rng.standard_t(2, len(days)))
    away = days["visitors"] - days["visitors"].min()
    fan = days.assign(buyers=days["visitors"] + away * rng.normal(size=len(days)))
    wave = days.assign(buyers=days["visitors"] + 40 * np.sin(np.arange(len(days)) / 10))
    zigzag = days.assign(buyers=days["visitors"] + 5 * (-1.0) ** np.arange(len(days)))
    _, far = buyers.train(tails)
    _, spread = buyers.train(fan)
    _, order = buyers.train(wave)
    _, opposite = buyers.train(zigzag)
    assert "not normally distributed" in far.checks[0].sentence
    assert "variance of the residuals depends" in spread.checks[1].sentence
    assert "standard errors are too small" in order.checks[2].sentence
    assert "opposite signs" in opposite.checks[2].sentence


def test_measures() -> None:
    found = buyers.measure(np.array([0.0, 10.0, 20.0]), np.array([1.0, 11.0, 18.0]))
    assert found == pytest.approx({"rmse": 2**0.5, "mae": 4 / 3, "mape": 0.1, "r2": 1 - 6 / 200})
    assert np.isnan(buyers.measure(np.zeros(3), np.ones(3))["mape"])


@pytest.mark.parametrize("rows", [9, 20])
def test_too_few_days_and_constant_visitors_are_refused(days: pd.DataFrame, rows: int) -> None:
    few = days.head(rows) if rows < 10 else days.head(rows).assign(visitors=30.0)
    with pytest.raises(RefusedError, match="too few days to predict"):
        buyers.train(few)
