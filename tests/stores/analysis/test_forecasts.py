"""The forecast beside history, and the last one beside what came."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.analysis import forecasts
from pipeline.stores.analysis.forecasts import SHOWN_BEFORE, chain_section, earlier_section, history, store_section

AS_OF = dt.date(2024, 7, 1)
DAYS = pd.date_range(AS_OF, periods=42)
NOTHING = pd.DataFrame()


def a_forecast(mean: float = 110.0, stores: tuple[int, ...] = (1, 2)) -> pd.DataFrame:
    rows = pd.MultiIndex.from_product([stores, DAYS], names=["store", "day"]).to_frame(index=False)
    ends = {"low_80": 0.9, "high_80": 1.1, "low_95": 0.8, "high_95": 1.2}
    return rows.assign(mean=mean, **{name: mean * times for name, times in ends.items()})


def a_plan() -> pd.DataFrame:
    return a_forecast()[["store", "day"]].assign(promo=lambda f: f["day"] == DAYS[0])


@pytest.fixture
def past(by_hand, plain_days):
    _, table = by_hand
    days = table(plain_days(547, "2023-01-01") + plain_days(100, "2024-03-23", store=2, sales=50.0))
    return history(days, AS_OF, DAYS)


def data(section) -> dict:
    """What the page's script is given."""
    begin = section.widget.index("const data = ") + len("const data = ")
    return json.JSONDecoder().raw_decode(section.widget[begin:])[0]


def test_history_is_the_days_before_and_the_same_weekdays_of_last_year(past) -> None:
    assert past.recent.shape == (2, SHOWN_BEFORE)
    assert past.year_ago.shape == (2, 42)
    assert past.year_ago.loc[1].eq(100).all()
    assert past.year_ago.loc[2].isna().all(), "no row is not a sale of nothing"


def test_the_chain_is_held_against_the_store_days_that_last_year_knows(past) -> None:
    said = chain_section(a_forecast(), past).sentences
    assert "2 stores will sell 9,240 in the 42 days from 1 July 2024 to 11 August 2024" in said[0]
    assert "That is 10.0 % more than on the same weekdays 52 weeks earlier" in said[1]
    assert "of 1 store some of those days are unknown" in said[1]
    assert "nothing 52 weeks earlier" in chain_section(a_forecast(stores=(2,)), past).sentences[1]


def test_every_store_can_be_chosen_and_unknown_days_stay_unknown(past) -> None:
    section = store_section(a_forecast(), a_plan(), past, NOTHING, NOTHING)
    found = data(section)
    assert found["stores"] == [1, 2]
    assert found["mean"] == [[110] * 42] * 2
    assert found["low_95"][0][0] == 88
    assert found["ago"] == [[100] * 42, [None] * 42]
    assert found["promo"][0] == "0" * SHOWN_BEFORE + "1" + "0" * 41
    assert (found["earlier"], found["why"]) == (None, None)
    assert "The middle 80 % interval is 20 % of its forecast wide, the middle 95 % interval 40 %." in section.sentences


def test_of_too_many_stores_those_that_sell_most_are_shown(past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasts, "MOST", 1)
    said = a_forecast().assign(mean=lambda f: np.where(f["store"] == 2, 200.0, 100.0))
    section = store_section(said, a_plan(), past, NOTHING, NOTHING)
    assert data(section)["stores"] == [2]
    assert "Choose any of 1 store (those that will sell most, of 2)" in section.sentences[0]


def test_what_moves_a_day_is_told_of_the_stores_that_are_explained(past) -> None:
    explained = pd.DataFrame(
        {"store": 1, "day": DAYS[0], "linear": 100.0, "forecast": 110.0, "feature": ["promo_day", "week"],
         "contribution": [0.08, -0.01]}
    )  # fmt: skip
    found = data(store_section(a_forecast(), a_plan(), past, NOTHING, explained))
    assert found["features"] == ["promo day", "week"]
    assert found["why"] == [[["2024-07-01", 100, 110, [[0, 8.0], [1, -1.0]]]], []]


def test_the_last_forecast_is_measured_by_what_came() -> None:
    came = a_forecast(stores=(1,)).assign(made_on=AS_OF, sales=[100.0] * 21 + [150.0] * 21)
    section = earlier_section(came)
    said = " ".join(section.sentences)
    assert "On 1 July 2024, 4,620 was forecast" in said
    assert "5,250 came, so the forecast was 12.0 % below it." in said
    assert "50.0 % of 42 days lay within the 80 % interval, 50.0 % within the 95 % interval" in said
    rmspe = np.sqrt((0.1**2 + (110 / 150 - 1) ** 2) / 2)
    assert f"RMSPE {rmspe:.4f}" in said


def test_no_earlier_forecast_and_only_closed_days_are_said() -> None:
    assert earlier_section(NOTHING).sentences == ["No earlier forecast's days have come yet."]
    closed = a_forecast(0.0).assign(made_on=AS_OF, sales=0.0)
    said = earlier_section(closed).sentences
    assert "No store sold anything on those days." in said
    assert said[0].endswith("; 0 came.")
