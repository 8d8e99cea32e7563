"""How figures are written on pages: units, signs, nouns, and what stands for a missing figure."""

from __future__ import annotations

from datetime import date

import pytest

from pipeline.reports import phrasing


@pytest.mark.parametrize(("part", "whole", "text"), [(1, 8, "12.5 %"), (0, 3, "0.0 %"), (1, 0, "–")])
def test_a_share_is_in_per_cent_and_a_dash_if_there_is_no_whole(part: float, whole: float, text: str) -> None:
    assert phrasing.share(part, whole) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.125, "12.5 %"), (-0.5, "-50.0 %"), (None, "–"), (float("nan"), "–"), (0.0, "0.0 %")]
)
def test_a_fraction_is_written_in_per_cent(fraction: float | None, text: str) -> None:
    assert phrasing.percent(fraction) == text


@pytest.mark.parametrize(("value", "text"), [(35.0, "+35.0 %"), (-0.04, "+0.0 %"), (float("inf"), "–")])
def test_a_signed_value_has_no_negative_zero(value: float, text: str) -> None:
    assert phrasing.signed_percent(value) == text


@pytest.mark.parametrize(
    ("value", "change", "level"),
    [
        (35.0, "35.0 % more", "35.0 % above"),
        (-3.2, "3.2 % less", "3.2 % below"),
        (0.049, "as much", "at"),
        (-0.05, "0.1 % less", "0.1 % below"),
    ],
)
def test_differences_are_phrased_and_negligible_ones_are_none(value: float, change: str, level: str) -> None:
    assert phrasing.more_or_less(value) == change
    assert phrasing.above_or_below(value) == level


def test_numbers_have_separators_and_nouns_agree() -> None:
    assert phrasing.count(541909) == "541,909"
    assert phrasing.counted(1, "store") == "1 store"
    assert phrasing.counted(1115, "store") == "1,115 stores"
    assert phrasing.counted(2, "store has", "stores have") == "2 stores have"
    assert (phrasing.was_or_were(1), phrasing.was_or_were(0)) == ("was", "were")


def test_logarithms_words_and_dates() -> None:
    assert phrasing.percent_change(0.3) == pytest.approx(34.98588)
    assert phrasing.listed(["a", "b", "c"]) == "a, b and c"
    assert phrasing.listed(["a"]) == "a"
    assert phrasing.long_date(date(2014, 12, 4)) == "4 December 2014"
    assert phrasing.readable("monthly_spend_mean") == "monthly spend mean"
