"""The same season a year ago: days are aligned, large residuals are believed, and both forecasts are the arithmetic."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from pipeline.stores import last_season
from pipeline.stores.features import COLUMNS, feature_rows, planned_days, store_features
from pipeline.stores.model import forecast_rows, to_frame, training_rows
from pipeline.stores.season import (
    CHANCE,
    RESIDUAL_DAYS,
    SEASON_COLUMNS,
    day_of_same_season,
    same_date,
    seasonal_correction,
)
from pipeline.stores.state import store_state
from tests.stores.helpers import plain_days, plain_stores, tables

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

COUNT, STORES = 8, 5
CHRISTMAS, UNTIL = dt.date(2023, 12, 2), dt.date(2024, 12, 28)
AS_OF = dt.date(2024, 11, 23)
AT_CHRISTMAS = 0.5


def days_with_christmas() -> pd.DataFrame:
    """Days of stores that sell exp(0.5) times as much in the week before each Christmas Eve."""
    days = plain_days(COUNT, until=UNTIL)
    before = (days["day"].dt.month == 12) & days["day"].dt.day.between(20, 23)
    return days.assign(sales=days["sales"] * np.exp(AT_CHRISTMAS * before))


def features(con: Backend, days: pd.DataFrame, *, train: bool = False) -> pd.DataFrame:
    return to_frame(store_features(con, *tables(con, days, plain_stores(COUNT)), AS_OF, train=train))


@pytest.mark.parametrize(
    ("day", "aligned"),
    [
        ("2014-12-24", "2013-12-24"),
        ("2014-12-20", "2013-12-20"),
        ("2014-12-19", "2013-12-20"),
        ("2015-01-02", "2014-01-02"),
        ("2015-01-03", "2014-01-04"),
        ("2015-04-04", "2014-04-19"),  # the Saturday before Easter
        ("2015-05-25", "2014-06-09"),  # Whit Monday
        ("2015-07-15", "2014-07-16"),
    ],
)
def test_a_day_is_compared_with_the_day_of_the_same_season(day: str, aligned: str) -> None:
    assert day_of_same_season(np.array([day], "datetime64[D]"))[0] == np.datetime64(aligned)


def test_the_same_date_of_a_leap_day_is_the_first_of_march() -> None:
    assert same_date(np.array(["2024-02-29", "2024-03-01"], "datetime64[D]")).tolist() == [dt.date(2023, 3, 1)] * 2


@pytest.mark.parametrize(("residual", "believed"), [(0.05, 0.15), (0.5, 0.95), (-0.5, 0.95)])
def test_a_large_residual_is_believed_and_a_small_one_is_not(residual: float, believed: float) -> None:
    """All stores departed alike on the day a year before the first day of the horizon."""
    as_of = np.datetime64("2015-07-15")
    residuals = np.zeros((STORES, RESIDUAL_DAYS[0] - RESIDUAL_DAYS[1]))
    residuals[:, RESIDUAL_DAYS[0] - 364] = residual
    season, weight, scale = seasonal_correction(as_of, 0, 42, residuals)
    assert weight[0, 0] == pytest.approx(residual**2 / (residual**2 + CHANCE**2), rel=1e-5)
    assert weight[0, 0] == pytest.approx(believed, abs=0.01)
    np.testing.assert_allclose(season[:, 0], residual * weight[:, 0], rtol=1e-5)
    assert not season[:, 1:].any()
    np.testing.assert_allclose(scale[:, 7], abs(residual) * weight[0, 0] / np.sqrt(15), rtol=1e-5)
    assert not scale[:, 8:].any()


def test_a_store_repeats_a_share_of_its_own_departure() -> None:
    residuals = np.full((STORES, RESIDUAL_DAYS[0] - RESIDUAL_DAYS[1]), 0.4)
    residuals[0] = 0.6
    season, weight, scale = seasonal_correction(np.datetime64("2015-07-15"), 0, 42, residuals)
    chain, own = residuals[:, 0].mean(), 0.6 - residuals[:, 0].mean()
    np.testing.assert_allclose(season[0], weight[0] * (chain + 0.45 * own), rtol=1e-5)
    np.testing.assert_allclose(scale, np.full_like(scale, weight[0, 0] * chain), rtol=1e-5)


@pytest.mark.parametrize("gap", ["no year before", "most stores are closed"])
def test_a_season_that_was_not_seen_corrects_nothing_and_has_no_weight(gap: str) -> None:
    residuals = np.full((STORES, RESIDUAL_DAYS[0] - RESIDUAL_DAYS[1]), np.nan)
    if gap == "most stores are closed":
        residuals[0] = 0.4
    season, weight, scale = seasonal_correction(np.datetime64("2015-07-15"), 0, 42, residuals)
    assert not season.any()
    assert not scale.any()
    assert np.isnan(weight).all()


def test_a_planted_christmas_is_found_by_base_and_baseline(con: Backend) -> None:
    """Four days before Christmas sell more: the year before says so, the effects of the linear model do not."""
    ahead = features(con, days_with_christmas())
    plain = features(con, plain_days(COUNT, until=UNTIL))
    days = pd.to_datetime(ahead["day"])
    busy = ((days.dt.month == 12) & days.dt.day.between(20, 23)).to_numpy()
    for column in ("last_season", "season_forecast"):
        gain = (ahead[column] - plain[column]).to_numpy()
        assert gain[busy].mean() == pytest.approx(AT_CHRISTMAS, abs=0.2), column
        assert abs(gain[~busy].mean()) < 0.1, column
    base = (ahead["linear"] + ahead["season"] - plain["linear"] - plain["season"]).to_numpy()
    assert base[busy].mean() == pytest.approx(AT_CHRISTMAS, abs=0.12)
    forecast = last_season.fit(training_rows(ahead), 7).predict(ahead)
    np.testing.assert_allclose(np.log(forecast), ahead["last_season"])


def test_a_promotion_changes_both_forecasts_by_the_stores_usual_difference(con: Backend) -> None:
    state = store_state(con, *tables(con, plain_days(COUNT, until=UNTIL), plain_stores(COUNT)), AS_OF)
    plan = planned_days(state)
    plan = plan[plan["day"].dt.weekday < 5]
    without, promoted = (feature_rows(state, plan.assign(promo=promo)) for promo in (False, True))
    for column in ("last_season", "season_forecast"):
        assert (promoted[column] - without[column]).mean() == pytest.approx(0.35, abs=0.02), column


def test_training_rows_have_the_season_as_of_their_own_origin(con: Backend) -> None:
    rows = features(con, days_with_christmas(), train=True)
    train, ahead = training_rows(rows), forecast_rows(rows)
    assert list(COLUMNS[-len(SEASON_COLUMNS) :]) == list(SEASON_COLUMNS)
    first_year = pd.to_datetime(train["day"]) < pd.Timestamp("2023-12-27")
    assert train.loc[first_year, "season_weight"].isna().all()
    assert train.loc[first_year, "season"].eq(0).all()
    assert ahead["season_weight"].notna().all()
    later = train[pd.to_datetime(train["day"]) >= pd.Timestamp("2024-03-01")]
    assert later["season_weight"].notna().mean() > 0.9
