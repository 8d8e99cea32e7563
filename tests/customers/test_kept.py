"""The endpoints that answer from what the night kept, over a small lake."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipeline.customers.customer_endpoint import DESCRIBED, CustomerPredictor, CustomerRow, describe
from pipeline.customers.insiders import Bounds, Review, Rule
from pipeline.customers.kept import Kept, state_of
from pipeline.customers.programme import review_of, rows_of
from pipeline.customers.recommendations.endpoint import MAX_BASKET, RecommendationPredictor, RecommendationRow
from pipeline.endpoints import RowError
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

DAY, BEFORE = date(2025, 5, 2), date(2025, 5, 1)
LOADED = cast(Any, {"recommendations": SimpleNamespace(version=SimpleNamespace(version=4))})


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return Settings(home=str(tmp_path))


def write(settings: Settings, table: str, rows: list[dict[str, Any]], as_of: date = DAY) -> None:
    dated = [row | {"as_of": as_of} for row in rows]
    Lake(settings).replace(table, {"as_of": [as_of]}, pa.Table.from_pylist(dated))


@pytest.fixture
def scored(settings: Settings) -> Settings:
    def a_list(name: str, subject: str, *products: str) -> dict[str, Any]:
        scores = [0.9 - 0.1 * rank for rank in range(len(products))]
        return {"list": name, "subject": subject, "products": list(products), "scores": scores, "model_version": 7}

    lists = [
        a_list("best", "é9", "A", "B", "C"),
        a_list("buy again", "é9", "A"),
        a_list("new to you", "é9", "B", "C"),
        a_list("best", "10", "C"),
        a_list("goes with", "A", "B", "D"),
        a_list("goes with", "C", "D", "A"),
        a_list("popular", "", "P", "Q", "R"),
    ]
    write(settings, "recommendations", [a_list("popular", "", "OLD")], BEFORE)
    write(settings, "recommendations", lists)
    segments = [{"customer_id": c, "segment": 1, "segment_name": "insiders", "model_version": 3} for c in ("é9", "10")]
    write(settings, "customer_segments", segments)
    return settings


def products(answer: Any) -> list[str]:
    return [found.stock_code for found in answer.products]


def test_a_customer_a_basket_and_nobody(scored: Settings) -> None:
    predictor = RecommendationPredictor(LOADED, scored)
    rows = [
        RecommendationRow(customer="é9"),
        RecommendationRow(customer="é9", which="new to you", k=1),
        RecommendationRow(basket=["A", "C", "A"]),
        RecommendationRow(customer="é9", basket=["C"]),
        RecommendationRow(),
        RecommendationRow(customer="stranger"),
        RecommendationRow(basket=["unknown"], k=2),
        RecommendationRow(customer="10", which="buy again"),
    ]
    answers: list[Any] = predictor.predict([rows[:3], rows[3:]]).answers
    assert [answer.source for answer in answers] == [
        "best", "new to you", "goes with", "goes with", "popular", "popular", "popular", "popular",
    ]  # fmt: skip
    assert [products(answer) for answer in answers] == [
        ["A", "B", "C"], ["B"], ["D", "B"], ["D", "A"], ["P", "Q", "R"], ["P", "Q", "R"], ["P", "Q"], ["P", "Q", "R"],
    ]  # fmt: skip
    assert {(answer.as_of, answer.model_version) for answer in answers} == {("2025-05-02", 7)}
    assert answers[2].products[0].score == pytest.approx(0.8 + 0.9)


@pytest.mark.parametrize(
    "row",
    [
        {"basket": ["A"] * (MAX_BASKET + 1)},
        {"basket": []},
        {"basket": ["x" * 65]},
        {"customer": ""},
        {"customer": "x" * 65},
        {"k": 11},
        {"k": 0},
        {"which": "popular"},
        {"user": "1"},
    ],
    ids=["long basket", "empty basket", "long code", "no name", "long name", "many", "none", "list", "field"],
)
def test_requests_are_bounded(row: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RecommendationRow.model_validate(row)


def test_before_the_first_night_the_lists_are_empty_and_customers_unknown(settings: Settings) -> None:
    lists = RecommendationPredictor(LOADED, settings)
    (answer,) = cast(Any, lists.predict([lists.example]).answers)
    assert (answer.products, answer.source, answer.as_of, answer.model_version) == ([], "popular", None, 4)
    customers = CustomerPredictor(LOADED, settings)
    assert not customers.example
    assert isinstance(customers.predict([[CustomerRow(customer="1")]]).answers[0], RowError)


def test_a_customer_has_what_the_night_made(scored: Settings) -> None:
    predictor = CustomerPredictor(LOADED, scored)
    assert [row.customer for row in predictor.example] == ["10"]
    known, unknown = cast(Any, predictor.predict([[CustomerRow(customer="é9"), CustomerRow(customer="9")]]).answers)
    assert (known.segment_name, known.buy_again, known.new_to_you) == ("insiders", ["A"], ["B", "C"])
    assert (known.expected, known.description, known.as_of) == (None, [], "2025-05-02")
    assert known.movements == [], "no earlier day is scored"
    assert "not known" in unknown.error.what
    assert "2025-05-02" in unknown.error.allowed
    value = {"purchase_chance": 0.5, "purchases": 1.2, "revenue": 80.0, "revenue_low": 0.0, "revenue_high": 210.0}
    write(scored, "customer_value", [value | {"customer_id": "é9", "decile": 2, "alive": 0.9}])
    (known,) = cast(Any, CustomerPredictor(LOADED, scored).predict([[CustomerRow(customer="é9")]]).answers)
    assert (known.expected.revenue, known.expected.decile) == (80.0, 2)


def test_a_customer_has_the_segments_of_last_month_and_before_the_last_training(scored: Settings) -> None:
    def moved(customer: str, since: str, segment: int | None, name: str | None) -> dict[str, Any]:
        ends = {"from_segment": segment, "from_name": name, "to_segment": 1, "to_name": "insiders"}
        return {"customer_id": customer, "since": since, "compared_with": BEFORE} | ends

    rows = [
        moved("é9", "last month", 2, "lapsed"),
        moved("é9", "last training", 1, "insiders"),
        moved("10", "last month", 3, "regulars"),
        moved("10", "last training", None, None),
    ]
    write(scored, "segment_movements", rows)
    asked = [CustomerRow(customer=customer) for customer in ("é9", "10")]
    known, new = cast(Any, CustomerPredictor(LOADED, scored).predict([asked]).answers)
    assert [(found.since, found.as_of, found.segment, found.segment_name) for found in known.movements] == [
        ("last month", "2025-05-01", 2, "lapsed"),
        ("last training", "2025-05-01", 1, "insiders"),
    ]
    assert [(found.since, found.segment_name) for found in new.movements] == [("last month", "regulars")]


def test_a_customer_is_told_what_keeps_in_the_loyalty_programme_or_lets_in(scored: Settings) -> None:
    def features(customer: str, revenue: float, invoices: float, recency: float) -> dict[str, Any]:
        own = {"customer_id": customer, "revenue": revenue, "invoices": invoices, "recency_days": recency}
        return dict.fromkeys(DESCRIBED, 1.0) | own

    rule = Rule(BEFORE, join=Bounds(100.0, 3.0, 30.0), stay=Bounds(80.0, 2.0, 60.0))
    review = Review(date(2025, 5, 1), rule, {"é9": date(2025, 3, 1)}, np.array(["é9", "gone"], dtype=object))
    write(scored, "loyalty_programme", rows_of(review).to_pylist())
    write(scored, "customer_features", [features("é9", 79.5, 2, 61), features("10", 100, 2, 30)])
    asked = [CustomerRow(customer=customer) for customer in ("é9", "10")]
    inside, outside = (
        found.programme for found in cast(Any, CustomerPredictor(LOADED, scored).predict([asked]).answers)
    )
    assert (inside.member, inside.since, inside.reviewed, inside.next_review) == (
        True, "2025-03-01", "2025-05-01", "2025-06-01",
    )  # fmt: skip
    assert inside.description == [
        "Member since 2025-03-01.",
        "Staying takes revenue of £80.00 on 2 invoices, and a purchase within 60 days.",
        "Leaves at the review of 2025-06-01 without £0.50 more revenue, a purchase within 60 days.",
    ]
    assert [(found.feature, found.value, found.bound, found.fulfilled) for found in outside.conditions] == [
        ("revenue", 100.0, 100.0, True),
        ("invoices", 2.0, 3.0, False),
        ("recency_days", 30.0, 30.0, True),
    ]
    assert (outside.member, outside.since) == (False, None)
    assert outside.description[-1] == "Lacks 1 more invoice."
    assert review_of(Lake(scored).read("loyalty_programme")).members == review.members  # type: ignore[union-attr]


def test_features_are_told_in_words() -> None:
    features = {
        "recency_days": 1.0,
        "invoices": 3.0,
        "distinct_products": 1.0,
        "revenue": 1234.5,
        "average_ticket": 420.0,
        "days_between_invoices": 20.4,
        "cancellations": 1.0,
        "cancellation_rate": 0.25,
    }
    assert describe(features, 365) == [
        "Last bought 1 day ago.",
        "3 invoices with 1 product in 365 days.",
        "Revenue 1,234 net of returns, 420 an invoice before them.",
        "20 days between invoices.",
        "25.0 % of the invoices are cancellations.",
    ]


def test_the_state_changes_with_each_table(scored: Settings) -> None:
    lake, tables = Lake(scored), ("recommendations", "customer_value")
    before = state_of(lake, tables)
    write(scored, "customer_value", [{"customer_id": "1"}])
    between = state_of(lake, tables)
    write(
        scored,
        "recommendations",
        [{"list": "popular", "subject": "", "products": ["Z"], "scores": [1.0], "model_version": 8}],
    )
    assert len({before, between, state_of(lake, tables)}) == 3


def test_ids_of_any_alphabet_are_found() -> None:
    ids = ["z", "é", "10", "9", "日本", "A", "a", "😀", "\uffff"]
    kept = Kept(pa.table({"id": ids, "n": list(range(len(ids)))}), "id")
    assert [kept.get(one) == {"id": one, "n": at} for at, one in enumerate(ids)] == [True] * len(ids)
    assert kept.get("none") is None
    wanted = ["A", "none", "A\0", "z", "A"]
    assert kept.get_all(wanted) == [kept.get(one) for one in wanted]
    assert [row["n"] if row else None for row in kept.get_all(wanted)] == [5, None, None, 0, 5]
    assert Kept(pa.table({"id": pa.array([], pa.string())}), "id").get_all(["A"]) == [None]
