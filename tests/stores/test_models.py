"""All models: the same interface, reproducible forecasts, and planted effects found again."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pytest

from pipeline.errors import RefusedError, UsageError
from pipeline.stores import gradient_boosting
from pipeline.stores.candidates import load_fit
from pipeline.stores.explain import explain_day, mean_contributions, partial_effect, permutation_importance
from pipeline.stores.features import OWN_COLUMNS, store_features
from pipeline.stores.gradient_boosting import AROUND_DAYS, EARLIER_DAYS
from pipeline.stores.model import forecast_rows, training_rows
from pipeline.stores.season import LEVEL_DAYS
from tests.stores.helpers import AS_OF, NOISE, plain_days, plain_stores, tables

if TYPE_CHECKING:
    from types import ModuleType

COUNT = 12
NAMES = ("seasonal_median", "last_season", "linear_store", "random_forest", "gradient_boosting", "lstm")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Features of a small chain, with what the fold sold as `truth`."""
    days = plain_days(COUNT)
    con = ibis.duckdb.connect(threads=2)
    features = store_features(con, *tables(con, days, plain_stores(COUNT)), AS_OF).to_pandas()
    features["day"] = pd.to_datetime(features["day"])
    return features.merge(days[["store", "day", "sales"]].rename(columns={"sales": "truth"}), on=["store", "day"])


def model(name: str) -> ModuleType:
    if name == "lstm":
        pytest.importorskip("torch", reason="PyTorch is an optional extra").set_num_threads(1)
    return import_module(f"pipeline.stores.{name}")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.stores.gradient_boosting.ROUNDS", 60)
    monkeypatch.setitem(
        gradient_boosting.PARAMETERS, "num_threads", 1
    )  # two wait for each other on rows as few as these
    monkeypatch.setattr("pipeline.stores.random_forest.TREES", 10)
    monkeypatch.setattr("pipeline.stores.lstm.TRAINING_WINDOWS", 1500)
    monkeypatch.setattr("pipeline.stores.lstm.HIDDEN_UNITS", 16)
    monkeypatch.setattr("pipeline.stores.lstm.TESTED_STORES", 4)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_forecasts_near_the_truth(name: str, frame: pd.DataFrame) -> None:
    ahead = forecast_rows(frame)
    once, again = (model(name).fit(training_rows(frame), 7).predict(ahead) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert (once > 0).all()
    rmspe = np.sqrt(np.mean((once / ahead["truth"] - 1) ** 2))
    assert rmspe < (0.2 if name == "lstm" else 2 * NOISE)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lstm"])  # it reads the horizon as a sequence
def test_a_forecast_depends_on_its_own_row_only(name: str, frame: pd.DataFrame) -> None:
    ahead = forecast_rows(frame)
    fitted = model(name).fit(training_rows(frame), 7)
    some = ahead.sample(20, random_state=1)
    np.testing.assert_allclose(
        fitted.predict(some), fitted.predict(ahead)[ahead.index.get_indexer(some.index)], rtol=1e-5
    )


def test_the_baseline_falls_back_for_unseen_groups(frame: pd.DataFrame) -> None:
    fitted = model("seasonal_median").fit(training_rows(frame), 7)
    odd = forecast_rows(frame).head(2).assign(weekday=[6.0, 6.0], store=[1, 999])
    of_store = training_rows(frame).query("store == 1")["sales"].median()
    np.testing.assert_allclose(fitted.predict(odd), [of_store, training_rows(frame)["sales"].median()])


def test_a_missing_column_is_named(frame: pd.DataFrame) -> None:
    fitted = gradient_boosting.fit(training_rows(frame), 7)
    with pytest.raises(UsageError, match="level_28"):
        fitted.predict(forecast_rows(frame).drop(columns="level_28"))


def test_an_unseen_category_is_no_error(frame: pd.DataFrame) -> None:
    fitted = gradient_boosting.fit(training_rows(frame), 7)
    assert np.isfinite(fitted.predict(forecast_rows(frame).assign(state="nowhere"))).all()


def test_contributions_add_up_to_the_forecast(frame: pd.DataFrame) -> None:
    fitted = gradient_boosting.fit(training_rows(frame), 7)
    ahead = forecast_rows(frame)
    row = ahead.iloc[0]
    day = explain_day(fitted, ahead, int(row["store"]), row["day"].date())
    assert day.start + day.contributions.sum() == pytest.approx(day.forecast / day.linear, rel=1e-6)
    assert set(mean_contributions(fitted, ahead, seed=1).index) == {*OWN_COLUMNS, "season"}
    with pytest.raises(UsageError, match="store 999"):
        explain_day(fitted, ahead, 999, row["day"].date())


def test_the_important_feature_is_found(frame: pd.DataFrame) -> None:
    fitted = gradient_boosting.fit(training_rows(frame), 7)
    rows = forecast_rows(frame).assign(sales=lambda rows: rows["truth"])
    grows = permutation_importance(fitted, rows, ["linear", "competition_months"], seed=1)
    assert grows.index[0] == "linear"
    assert grows["linear"] > 0.1 > abs(grows["competition_months"])


def test_the_partial_effect_of_promotion_is_the_planted_one(frame: pd.DataFrame) -> None:
    fitted = model("seasonal_median").fit(training_rows(frame), 7)
    weekday = forecast_rows(frame).query("weekday < 5")
    effect = partial_effect(fitted, weekday, "promo", [0.0, 1.0], seed=1)
    assert np.log(effect[1.0] / effect[0.0]) == pytest.approx(0.35, abs=0.03)


@pytest.mark.parametrize("log_ratios", [(2.0, 20.0), (-1.0, -10.0)], ids=["too high", "too low"])
@pytest.mark.parametrize("name", ["gradient_boosting", "random_forest"])
def test_sales_far_from_the_linear_forecast_are_clipped(
    name: str, log_ratios: tuple[float, float], frame: pd.DataFrame
) -> None:
    """Beyond the range it makes no difference how far a mistyped day is from the linear forecast."""
    train, ahead = training_rows(frame).reset_index(drop=True), forecast_rows(frame)
    forecasts = []
    for log_ratio in log_ratios:
        changed = train.copy()
        changed.loc[::50, "sales"] = np.exp(train.loc[::50, "linear"].to_numpy(float) + log_ratio)
        forecasts.append(model(name).fit(changed, 7).predict(ahead))
    np.testing.assert_array_equal(*forecasts)


def test_there_is_no_model_of_another_name() -> None:
    with pytest.raises(UsageError, match="no such candidate"):
        load_fit("crystal_ball")


def test_the_lstm_reports_stationarity_and_refuses_other_days(frame: pd.DataFrame) -> None:
    fitted = model("lstm").fit(training_rows(frame), 7)
    stationarity = fitted.stationarity
    assert stationarity.acf[0] == pytest.approx(1)
    assert 0 <= stationarity.rejected <= 1
    with pytest.raises(UsageError, match="after its training data"):
        fitted.predict(training_rows(frame).head(5))
    with pytest.raises(UsageError, match="1 rows of unknown stores"):
        fitted.predict(forecast_rows(frame).head(1).assign(store=999))


def test_the_lstm_refuses_too_short_a_history(frame: pd.DataFrame) -> None:
    lstm = model("lstm")
    train = training_rows(frame)
    recent = train["day"] >= train["day"].max() - pd.Timedelta(days=lstm.WINDOW + lstm.HORIZON - 2)
    with pytest.raises(RefusedError, match="too short"):
        lstm.fit(train[recent], 7)


def season_rows(frame: pd.DataFrame, **changed: float) -> pd.DataFrame:
    """Rows to forecast whose trees see the same as before, with other values of the season."""
    return forecast_rows(frame).assign(**{"season": 0.0, "season_weight": 0.0, **changed})


def test_an_unusual_season_moves_the_forecast_to_the_one_without_model(frame: pd.DataFrame) -> None:
    fitted = gradient_boosting.fit(training_rows(frame), 7)
    other = np.log(2 * fitted.predict(season_rows(frame)))
    usual, unusual = (
        fitted.predict(season_rows(frame, season_weight=weight, season_forecast=other)) for weight in (0, 1)
    )
    without = fitted.predict(season_rows(frame, season_forecast=np.nan))
    expected = (1 - gradient_boosting.SEASON_SHARE) * usual + gradient_boosting.SEASON_SHARE * np.exp(other)
    np.testing.assert_allclose(unusual, expected)
    assert (usual > without).all(), "the anchor knows it as well"


def test_an_earlier_year_counts_as_seen_once_its_linear_models_could_tell_trend_from_season() -> None:
    days = pd.date_range("2023-07-01", "2025-06-30")
    knows = days >= "2024-01-01"
    seen = gradient_boosting.seen_days(pd.DataFrame({"day": days, "season_weight": np.where(knows, 0.5, np.nan)}))
    first = pd.Timestamp("2024-01-01") + pd.Timedelta(days=LEVEL_DAYS - AROUND_DAYS)
    last = days[-1] - pd.Timedelta(days=EARLIER_DAYS - AROUND_DAYS)
    expected = [first.dayofyear <= day <= last.dayofyear for day in range(1, 367)]
    assert seen == [int(one) for one in expected]


def test_where_no_earlier_year_was_seen_the_forecast_is_nearer_to_its_anchor(frame: pd.DataFrame) -> None:
    fitted = gradient_boosting.fit(training_rows(frame), 7)
    rows = season_rows(frame, season_forecast=np.nan, level_28=0.0, level_182=0.0, level_364=0.0)
    anchor = np.exp(rows["linear"].to_numpy(float))
    trees = anchor * fitted.trees.ratio(rows)
    for share, seen in ((gradient_boosting.SEEN_SHARE, 1), (gradient_boosting.UNSEEN_SHARE, 0)):
        forecast = replace(fitted, seen=[seen] * 366).predict(rows)
        np.testing.assert_allclose(forecast, share * anchor + (1 - share) * trees)


def test_the_first_christmas_is_left_out(frame: pd.DataFrame) -> None:
    """Its rows are relative to a base that had not seen a Christmas."""
    train = training_rows(frame).reset_index(drop=True)
    unseen = train["season_weight"].isna() & ((train["christmas_days"] >= -30) | (train["day_of_year"] <= 5))
    assert unseen.any()
    changed = train.assign(sales=train["sales"].where(~unseen, train["sales"] * 1.5))
    expected = gradient_boosting.fit(train, 7).predict(forecast_rows(frame))
    np.testing.assert_allclose(gradient_boosting.fit(changed, 7).predict(forecast_rows(frame)), expected, rtol=1e-9)


def test_features_without_the_season_are_refused(frame: pd.DataFrame) -> None:
    fitted = gradient_boosting.fit(training_rows(frame), 7)
    with pytest.raises(UsageError, match="season_forecast"):
        fitted.predict(forecast_rows(frame).drop(columns="season_forecast"))
