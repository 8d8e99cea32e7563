"""Weekdays, growth and autocorrelation are the planted ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.analysis.base import daily_means, open_days
from pipeline.stores.analysis.seasonality import (
    autocorrelation_section,
    measure_autocorrelation,
    measure_seasonality,
    seasonality_section,
)


def test_planted_weekdays_months_and_growth_are_found(planted) -> None:
    found = measure_seasonality(planted.days, planted.daily)
    want = np.array(planted.chain.effects.weekday)
    np.testing.assert_allclose(found.weekdays, want - want.mean(), atol=0.025)
    waves = found.months[7] - found.months[1]
    assert waves == pytest.approx(2 * planted.chain.effects.season, abs=0.04), "midsummer against midwinter"
    assert found.months[12] > found.months[11] + 0.1, "advent"
    truth = planted.chain.truth()
    assert found.growth == pytest.approx(truth["trend"].mean(), abs=0.02), "competitors cost a little of it"
    text = " ".join(seasonality_section(found).sentences)
    assert "Without promotion the best day is Monday" in text
    assert "The strongest month is Jul" in text
    assert "% more per day than in the 52 weeks before" in text


def test_less_than_two_years_have_no_growth(by_hand, plain_days) -> None:
    con, table = by_hand
    days = open_days(con, table(plain_days(200)))
    found = measure_seasonality(days, daily_means(days))
    assert found.growth is None
    assert "less than two years" in " ".join(seasonality_section(found).sentences)


def test_a_promotion_every_other_week_gives_an_autocorrelation_at_two_weeks(planted) -> None:
    found = measure_autocorrelation(planted.daily)
    assert found.week == 6, "on Sundays most stores are closed"
    assert found.acf.idxmax() == 12
    text = autocorrelation_section(found).sentences[0]
    assert "highest at a lag of 12 trading days" in text
    assert "which is 2 weeks" in text


def test_constant_sales_have_no_autocorrelation(by_hand, plain_days) -> None:
    con, table = by_hand
    found = measure_autocorrelation(daily_means(open_days(con, table(plain_days(60)))))
    assert autocorrelation_section(found).sentences == ["There are too few trading days, or their sales never vary."]


def test_days_on_which_few_stores_are_open_are_no_trading_days() -> None:
    days = pd.date_range("2014-01-06", periods=70)
    sunday = days.weekday == 6
    daily = pd.DataFrame({"stores": np.where(sunday, 49, 100), "level": np.sin(np.arange(70))}, index=days)
    assert (measure_autocorrelation(daily).days, measure_autocorrelation(daily).week) == (60, 6)
    daily.loc[sunday, "stores"] = 50
    assert (measure_autocorrelation(daily).days, measure_autocorrelation(daily).week) == (70, 7)


def test_growth_needs_two_whole_years_of_52_weeks(by_hand, plain_days) -> None:
    con, table = by_hand
    for days, known in ((727, False), (728, True)):
        opened = open_days(con, table(plain_days(days, "2022-01-03")))
        assert (measure_seasonality(opened, daily_means(opened)).growth is not None) is known
