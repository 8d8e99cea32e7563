"""Holidays and the two seasons have the planted effects."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.reports.phrasing import above_or_below, percent_change
from pipeline.stores.analysis.base import daily_means, open_days
from pipeline.stores.analysis.holidays import holiday_effects, holidays_section, seasons, seasons_section


def test_the_planted_eve_is_found_before_public_and_easter_holidays(planted) -> None:
    found = holiday_effects(planted.store_days, planted.days)
    days = found.days.set_index(["kind", "offset"])["excess"]
    want = planted.chain.effects.eve
    assert days["public", -1] == pytest.approx(want, abs=0.04)
    assert days["easter", -1] == pytest.approx(want, abs=0.04)
    assert days["public", 3] == pytest.approx(0, abs=0.05)
    assert found.open["open"].sum() == 0
    text = holidays_section(found).sentences
    assert f"On the day before a state holiday, sales are {above_or_below(percent_change(days['any', -1]))}" in text[0]
    assert "On state holidays no store was open." in text


def test_advent_and_the_eve_make_the_christmas_peak(planted) -> None:
    christmas, easter = seasons(planted.daily)
    effects = planted.chain.effects
    for year in (2013, 2014):
        line = christmas.years[year]
        assert line[-1] == pytest.approx(effects.advent + effects.eve - effects.season, abs=0.06), "at midwinter"
        assert line[-15] < line[-8] < line[-1]
        assert easter.years[year][-3] == pytest.approx(effects.eve, abs=0.06), "the eve of Good Friday"
    text = " ".join(seasons_section([christmas, easter]).sentences)
    assert "The best day of the season is 1 day before 25 December" in text
    assert "In 2014 the best day was 24 December 2014" in text


def test_the_effect_of_school_holidays_is_shown_or_said_to_be_unknown(by_hand, plain_days) -> None:
    con, table = by_hand
    records = plain_days(70)
    for record in records[56:]:
        record |= {"sales": 150.0, "school_holiday": True}
    days = table(records)
    found = holiday_effects(days, open_days(con, days))
    assert percent_change(found.school) == pytest.approx(50, abs=1e-6)
    text = holidays_section(found).sentences
    assert text[0] == "The data have no state holidays."
    assert "On school holidays sales are 50.0 % above" in text[1]
    days = table(plain_days(70))
    assert (
        "The data do not have both school holidays and other days"
        in holidays_section(holiday_effects(days, open_days(con, days))).sentences[1]
    )


def test_a_season_outside_the_data_is_reported(by_hand, plain_days) -> None:
    con, table = by_hand
    found = seasons(daily_means(open_days(con, table(plain_days(20, "2024-06-01")))))
    assert seasons_section(found).sentences == [
        "The data have no week before Christmas.",
        "The data have no week before Easter.",
    ]


def test_days_on_which_few_stores_are_open_are_not_part_of_a_season() -> None:
    days = pd.date_range("2014-12-01", "2014-12-31")
    daily = pd.DataFrame({"stores": 100, "excess": 0.1}, index=days)
    daily.loc["2014-12-14", ["stores", "excess"]] = [9, 5.0]
    daily.loc["2014-12-21", ["stores", "excess"]] = [10, 0.2]
    line = seasons(daily)[0].years[2014]
    assert -11 not in line.index
    assert line[-4] == 0.2
