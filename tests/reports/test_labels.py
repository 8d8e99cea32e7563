"""Columns and figures have names in words: complete for each domain, and values are written with their units."""

from __future__ import annotations

import pytest

from pipeline.customers.features import FEATURE_COLUMNS as CUSTOMERS
from pipeline.customers.labels import LABELS as OF_CUSTOMERS
from pipeline.domains import DOMAINS
from pipeline.footfall.features import FEATURE_COLUMNS as FOOTFALL
from pipeline.footfall.labels import LABELS as OF_FOOTFALL
from pipeline.reports.labels import METRICS, Label, column_text, exact_difference, label_of, metric_of
from pipeline.reports.phrasing import NumberStyle, written_in
from pipeline.shoppers.features import DEMOGRAPHICS, HISTORY, SHELF
from pipeline.shoppers.labels import LABELS as OF_SHOPPERS
from pipeline.stores.features import COLUMNS
from pipeline.stores.labels import LABELS as OF_STORES
from pipeline.training.spec import Domain

POUNDS = NumberStyle(currencies={"transactions": "GBP"}, table="transactions")


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (OF_CUSTOMERS, CUSTOMERS),
        (OF_SHOPPERS, (*SHELF, *HISTORY, *DEMOGRAPHICS, "last_brand", "purchases", "units", "weekly_visits")),
        (OF_FOOTFALL, (*FOOTFALL, "buyers")),
        (OF_STORES, COLUMNS),
    ],
)
def test_every_feature_has_a_label_and_no_label_lacks_its_feature(
    labels: dict[str, Label], columns: tuple[str, ...]
) -> None:
    assert set(labels) == set(columns)
    assert len({label.text for label in labels.values()}) == len(labels), "two columns with one name"


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_everything_that_is_watched_has_a_label(domain: Domain) -> None:
    for spec in domain.specs():
        assert {*spec.monitored.columns, "prediction"} <= set(spec.monitored.labels), spec.name
        assert dict(domain.labels()).items() <= dict(spec.monitored.labels).items(), spec.name


@pytest.mark.parametrize(
    ("label", "value", "text", "title"),
    [
        (Label("age", "years"), 41.26, "41.3 years", "age, years"),
        (Label("revenue", kind="amount"), 184.2, "£184", "revenue, £"),
        (Label("usual sales", kind="log amount"), 6.0, "£403", "usual sales, £"),
        (Label("rate", kind="share"), 0.00003, "less than 0.01 %", "rate, %"),
        (Label("effect", kind="change"), 0.3, "+35.0 %", "effect, %"),
        (Label("day", codes={"0": "Monday", "1": "Tuesday", "2": "Wednesday"}), 1.0, "Tuesday", "day"),
        (Label("age", "years"), float("nan"), "–", "age, years"),
        (Label("age", "years"), None, "–", "age, years"),
    ],
)
def test_a_value_is_written_with_its_unit(label: Label, value: float | None, text: str, title: str) -> None:
    with written_in(POUNDS):
        assert label.value(value) == text
        assert label.title == title


def test_a_mean_of_yes_and_no_is_a_share_and_one_of_levels_a_number() -> None:
    assert OF_SHOPPERS["sex"].mean(0.03) == "3.0 % women"
    assert OF_SHOPPERS["education"].mean(1.25) == "1.25"
    assert OF_SHOPPERS["age"].mean(41.26) == "41.3 years"
    assert OF_SHOPPERS["sex"].mean(float("nan")) == "–"


def test_a_category_is_a_word_and_an_unknown_one_itself() -> None:
    assert OF_CUSTOMERS["favourite_weekday"].word("4.0") == "Friday"
    assert OF_CUSTOMERS["favourite_weekday"].word("(missing)") == "(missing)"


def test_what_was_compared_is_called_by_its_kind() -> None:
    compared = ["revenue", "revenue (asked)", "prediction", "mape", "some_column"]
    texts = [column_text(OF_CUSTOMERS, name) for name in compared]
    assert texts[:2] == ["revenue net of returns", "revenue net of returns in requests"]
    assert texts[2:] == ["predictions", "mean error in per cent", "some column"]


def test_a_column_without_a_label_keeps_its_name_in_words() -> None:
    assert label_of({}, "some_column").text == "some column"


def test_errors_are_in_per_cent_and_said_with_what_is_good() -> None:
    assert METRICS["mape"].value(0.076) == "7.6 %"
    assert METRICS["rmse"].value(5.3312) == "5.33"
    assert METRICS["bias"].value(-0.012) == "-1.2 %"
    assert METRICS["mape"].value(float("nan")) == METRICS["mape"].value(None) == "–"
    assert metric_of("new_hit_rate").text == "lists with a hit, new products"
    assert metric_of("new_hit_rate").value(0.25) == "25.0 %"
    assert metric_of("something_else").text == "something else"


def test_a_difference_of_fractions_is_in_percentage_points() -> None:
    assert exact_difference("silhouette", 0.005) == "0.005"
    assert exact_difference("rmspe", 0.005) == "0.5 points"
    assert exact_difference("miss_rate", 0.05) == "5 points"
