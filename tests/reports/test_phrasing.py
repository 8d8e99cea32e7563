"""How figures are written on pages: units, signs, nouns, currencies, and what stands for a missing figure."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.reports import phrasing
from pipeline.reports.phrasing import NumberStyle, written_in

BRITISH = NumberStyle("en", {"transactions": "GBP", "people": "USD", "visits": "JPY"}, "transactions")
GERMAN = NumberStyle("de", {"store_days": "EUR"}, "store_days")


@pytest.mark.parametrize(("part", "whole", "text"), [(1, 8, "12.5 %"), (0, 3, "0.0 %"), (1, 0, "–")])
def test_a_share_is_in_per_cent_and_a_dash_if_there_is_no_whole(part: float, whole: float, text: str) -> None:
    assert phrasing.share(part, whole) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.125, "12.5 %"),
        (-0.5, "-50.0 %"),
        (None, "–"),
        (float("nan"), "–"),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (0.0006, "0.1 %"),
        (0.0003, "0.03 %"),
        (0.00003, "less than 0.01 %"),
        (0.9998, "99.98 %"),
        (0.99997, "more than 99.99 %"),
        (12.5, "1,250.0 %"),
    ],
)
def test_a_fraction_is_written_in_per_cent(fraction: float | None, text: str) -> None:
    assert phrasing.percent(fraction) == text


@given(st.floats(0, 1))
@example(0.0005)
@example(0.9995)
def test_no_share_but_none_looks_like_none_and_none_but_all_like_all(fraction: float) -> None:
    text = phrasing.percent(fraction)
    assert (text == "0.0 %") == (fraction == 0)
    assert (text == "100.0 %") == (fraction == 1 or 100 * fraction == 100)


@pytest.mark.parametrize(("value", "text"), [(35.0, "+35.0 %"), (-0.04, "+0.0 %"), (float("inf"), "–")])
def test_a_signed_value_has_no_negative_zero(value: float, text: str) -> None:
    assert phrasing.signed_percent(value) == text


@pytest.mark.parametrize(
    ("value", "change", "level"),
    [
        (35.0, "35.0 % more", "35.0 % above"),
        (-3.2, "3.2 % less", "3.2 % below"),
        (0.049, "as much", "at"),
        (-0.06, "0.1 % less", "0.1 % below"),
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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.56, "1,235"),
        (123.4, "123"),
        (12.345, "12.3"),
        (1.2, "1.20"),
        (0.0123456, "0.0123"),
        (-0.5, "-0.500"),
        (0, "0"),
        (7.0, "7"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_a_figure_has_three_significant_digits(value: float | None, text: str) -> None:
    assert phrasing.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (541909.4, "£541,909"),
        (99.994, "£99.99"),
        (12.5, "£12.50"),
        (0, "£0"),
        (-1234.4, "-£1,234"),
        (-0.001, "£0.00"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_an_amount_has_its_currency_and_decimals_only_below_a_hundred(value: float | None, text: str) -> None:
    with written_in(BRITISH):
        assert phrasing.amount(value) == text


def test_a_price_keeps_the_decimals_of_its_currency() -> None:
    with written_in(BRITISH):
        assert phrasing.price(1024.99) == "£1,024.99"
        assert phrasing.price(1024.99, "people") == "$1,024.99"
        assert phrasing.price(1024, "visits") == "¥1,024"
    assert phrasing.price(None) == "–"


def test_without_a_currency_an_amount_is_a_number_and_the_page_says_so() -> None:
    assert phrasing.amount(541909.4) == "541,909"
    assert phrasing.amount(12.5) == "12.50"
    assert phrasing.with_unit("revenue") == "revenue"
    assert phrasing.currency_sentence() == "Amounts are in the currency of the data."


def test_the_unit_stands_in_titles_and_in_a_sentence() -> None:
    with written_in(BRITISH):
        assert phrasing.with_unit("revenue") == "revenue, £"
        assert phrasing.with_unit("income", "people") == "income, $"
        assert phrasing.currency_sentence() == "Amounts are in GBP (British Pound)."


def test_another_locale_writes_every_kind_of_number_its_way() -> None:
    with written_in(GERMAN):
        assert phrasing.count(541909) == "541.909"
        assert phrasing.amount(1234567.8) == "1.234.568\xa0€"
        assert phrasing.price(0.5) == "0,50\xa0€"
        assert phrasing.percent(0.125) == "12,5 %"
        assert phrasing.percent(0.00003) == "less than 0,01 %"
        assert phrasing.signed_percent(-3.25, 2) == "-3,25 %"
        assert phrasing.more_or_less(35.0) == "35,0 % more"
        assert phrasing.number(12.345) == "12,3"
        assert phrasing.decimal_separators() == ",."
    assert phrasing.decimal_separators() == ".,"
    assert phrasing.count(541909) == "541,909", "the style ends with its context"


def test_equal_values_share_a_rank() -> None:
    assert phrasing.ranks([5.0, 9.0, 5.0, 1.0]) == ["2=", "1", "2=", "4"]
    assert phrasing.ranks([]) == []


def test_logarithms_words_and_dates() -> None:
    assert phrasing.percent_change(0.3) == pytest.approx(34.98588)
    assert phrasing.signed(1.204) == "+1.20"
    assert phrasing.listed(["a", "b", "c"]) == "a, b and c"
    assert phrasing.listed(["a"]) == "a"
    assert phrasing.long_date(date(2014, 12, 4)) == "4 December 2014"
    assert phrasing.readable("monthly_spend_mean") == "monthly spend mean"
