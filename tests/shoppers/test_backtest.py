"""What the issue asks of each model on the course's later days, and the form of a backtest."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.errors import UsageError
from pipeline.shoppers.backtest import backtest


@pytest.mark.open_data
def test_purchase_probability_on_days_it_has_not_seen(course_visits: pd.DataFrame) -> None:
    mean = backtest("purchase_probability", course_visits, seed=7)["mean"]
    assert mean["auc"] >= 0.70
    assert mean["log_loss"] < mean["base_log_loss"]
    assert mean["base_log_loss"] == pytest.approx(0.562, abs=0.0005)
    assert mean["price_only_auc"] == pytest.approx(0.542, abs=0.0005)


@pytest.mark.open_data
def test_brand_choice_on_days_it_has_not_seen(course_visits: pd.DataFrame) -> None:
    mean = backtest("brand_choice", course_visits, seed=7)["mean"]
    assert mean["accuracy"] >= 0.75
    assert mean["prices_only_accuracy"] == pytest.approx(0.363, abs=0.0005)
    assert mean["same_brand_accuracy"] == pytest.approx(0.740, abs=0.0005)


@pytest.mark.open_data
def test_purchase_quantity_on_days_it_has_not_seen(course_visits: pd.DataFrame) -> None:
    mean = backtest("purchase_quantity", course_visits, seed=7)["mean"]
    assert mean["r2"] >= 0.37
    assert mean["price_only_r2"] == pytest.approx(0.011, abs=0.0005)


def test_the_form(visits: pd.DataFrame) -> None:
    result = backtest("purchase_quantity", visits, seed=7)
    (fold,) = result["folds"]
    assert result["model"] == "purchase_quantity"
    # 547 days, of which the last fifth, 109, is tested.
    assert (fold["from"], fold["to"]) == ("2025-03-14", "2025-06-30")
    assert fold["metrics"] == result["mean"]


def test_later_outcomes_do_not_reach_the_training(visits: pd.DataFrame) -> None:
    """With the outcomes of the tested days turned around, what is measured changes and the cut does not."""
    day = pd.to_datetime(visits["day"]) >= pd.Timestamp("2025-03-14")
    turned = visits.assign(bought=visits["bought"].where(~day, 1 - visits["bought"]))
    before, after = (backtest("purchase_probability", rows, seed=7)["mean"] for rows in (visits, turned))
    assert after["mean_probability"] == pytest.approx(before["mean_probability"], rel=1e-9)
    assert after["auc"] == pytest.approx(1 - before["auc"], abs=1e-9)


def test_an_unknown_model_is_refused(visits: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="brand_choice"):
        backtest("customer_segments", visits, seed=7)
