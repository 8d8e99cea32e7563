"""The loyalty programme: its rule, its reviews, and that no review knows what came after it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.customers.features import customer_features
from pipeline.customers.insiders import Bounds, Review, Rule, learn_rule, review_days, reviews
from pipeline.customers.insiders_compared import difference, difference_after, lacking, traits
from pipeline.customers.programme import next_review, review_of, rows_of
from pipeline.customers.window_sums import sum_window
from pipeline.lake import engine
from pipeline.settings import Settings
from pipeline.simulate.shop import Shop
from tests.customers.shop import clean, line, table, until

OPENED, CUT, LAST = date(2024, 1, 1), date(2024, 5, 17), date(2024, 8, 20)
SHOP = Shop(customers=300, opened=OPENED)


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return engine.connect(Settings(home=str(tmp_path_factory.mktemp("home")), threads=1))


@pytest.fixture(scope="module")
def transactions() -> Any:
    return clean(SHOP.lines(OPENED, LAST))


def reviews_of(con: Any, transactions: Any, as_of: date, window_days: int = 365) -> list[Review]:
    return reviews(con, sum_window(con, transactions, as_of, window_days).by_invoice, as_of, window_days)


def seen(found: list[Review]) -> list[tuple[Any, ...]]:
    return [(review.day, review.rule, review.members, review.known.tolist()) for review in found]


def test_nothing_after_a_review_is_known(con: Any, transactions: Any) -> None:
    whole = reviews_of(con, transactions, CUT)
    assert [review.day for review in whole] == [date(2024, month, 1) for month in (2, 3, 4, 5)]
    assert all(0 < len(review.members) < len(review.known) / 2 for review in whole)
    assert seen(whole) == seen(reviews_of(con, until(transactions, CUT), CUT))
    later = reviews_of(con, transactions, LAST)
    assert seen(later)[: len(whole)] == seen(whole), "a later day does not change what was decided"


def test_the_conditions_are_the_columns_of_customer_features(con: Any, transactions: Any) -> None:
    day = date(2024, 5, 1)
    features = con.to_pandas(customer_features(transactions, day, home_country="United Kingdom"))
    newest = reviews_of(con, transactions, CUT)[-1]
    assert newest.day == day
    assert set(newest.known) == set(features["customer_id"])
    joining = features["customer_id"][newest.rule.join.all_reached(features)]
    staying = features["customer_id"][newest.rule.stay.all_reached(features)]
    assert set(joining) <= set(newest.members) <= set(staying)


def test_the_rule_is_of_values_that_customers_have() -> None:
    customers = pd.DataFrame(
        {
            "revenue": np.arange(100.0, 0.0, -1),
            "invoices": np.repeat(np.arange(1.0, 11.0), 10)[::-1],
            "recency_days": np.arange(1.0, 101.0),
        }
    )
    rule = learn_rule(customers, CUT)
    assert rule == Rule(CUT, Bounds(80.0, 8.0, 50.0), Bounds(70.0, 7.0, 75.0))
    once = learn_rule(customers.assign(invoices=1.0), CUT)
    assert (once.join.invoices, once.stay.invoices) == (2, 2), "a single purchase does not make anybody loyal"


def test_a_rule_is_learned_once_a_quarter(con: Any, transactions: Any) -> None:
    found = {review.day: review.rule for review in reviews_of(con, transactions, LAST)}
    assert found[date(2024, 4, 1)] == found[date(2024, 5, 1)] == found[date(2024, 6, 1)]
    assert found[date(2024, 4, 1)].learned == date(2024, 4, 1)
    assert found[date(2024, 7, 1)].learned == date(2024, 7, 1)


def others_buy(month: int) -> date:
    """The last of the ten days of a month on which the others buy."""
    return date(2023, 12, 28) + timedelta(days=30 * month)


def shop_of_one(con: Any, invoices: dict[date, int], as_of: date) -> dict[date, bool]:
    """Whether customer `c` is a member at each review, among a hundred others who buy the more the higher their number.

    Each of the others buys once a month, so that the bounds stay where they are.
    """
    lines = [
        line(f"{number:03}", f"{number}-{month}", others_buy(month) - timedelta(days=number % 10), number // 10 + 1)
        for number in range(100)
        for month in range(1, 8)
    ]
    lines += [line("c", f"c-{day}", day, quantity) for day, quantity in invoices.items()]
    return {review.day: "c" in review.members for review in reviews_of(con, table(lines), as_of, 90)}


def test_a_member_stays_where_others_may_not_join(con: Any) -> None:
    """In 90 days a fifth buys at least 27 units (24 if the customer is not one of them), three tenths 24 (21)."""
    month = {number: others_buy(number) for number in range(1, 8)}
    joins = shop_of_one(con, {month[1]: 9, month[2]: 9, month[3]: 9, month[4]: 8, month[5]: 7, month[6]: 2}, LAST)
    assert joins[date(2024, 4, 1)], "27 units"
    assert joins[date(2024, 6, 1)], "24 units are enough to stay"
    assert not joins[date(2024, 7, 1)], "17 units are not"
    never = shop_of_one(con, {month[3]: 7, month[4]: 7, month[5]: 7}, LAST)
    assert not any(never.values()), "what is enough to stay is not enough to join"


def test_few_customers_have_no_rule_and_the_first_month_is_reviewed_on_its_day(con: Any, transactions: Any) -> None:
    assert reviews_of(con, transactions, OPENED + timedelta(days=1)) == []
    (first,) = reviews_of(con, transactions, date(2024, 1, 30))
    assert first.day == first.rule.learned == date(2024, 1, 30)


def test_review_days_begin_with_a_quarter() -> None:
    days = review_days(date(2025, 2, 10))
    assert (days[0], days[-1], len(days)) == (date(2024, 1, 1), date(2025, 2, 1), 14)
    assert review_days(date(2025, 3, 31))[0] == date(2024, 1, 1)
    assert review_days(date(2025, 4, 1))[0] == date(2024, 4, 1)
    assert review_days(date(2025, 4, 1))[-1] == date(2025, 4, 1)


def test_a_review_that_was_kept_is_the_review(con: Any, transactions: Any) -> None:
    newest = reviews_of(con, transactions, LAST)[-1]
    kept = review_of(rows_of(newest))
    assert kept is not None
    assert seen([kept]) == seen([newest])
    assert review_of(rows_of(newest).slice(0, 0)) is review_of(None) is None


def test_the_next_review_is_on_the_first_of_the_next_month() -> None:
    found = [next_review(day) for day in (date(2025, 12, 1), date(2025, 1, 31), date(2024, 2, 29))]
    assert found == [date(2026, 1, 1), date(2025, 2, 1), date(2024, 3, 1)]


def test_what_members_brought_since_is_of_the_days_after_the_review(con: Any, transactions: Any) -> None:
    found = reviews_of(con, transactions, LAST)
    sums = sum_window(con, transactions, LAST, 365).by_invoice
    after = difference_after(con, sums, found, LAST)
    assert after is not None
    assert (after.since, after.until) == (date(2024, 5, 1), date(2024, 7, 31))
    assert after.members > after.others
    assert after.low < after.members - after.others < after.high
    cut = sum_window(con, until(transactions, date(2024, 7, 31)), LAST, 365).by_invoice
    assert after == difference_after(con, cut, found, LAST)
    assert difference_after(con, sums, found, date(2024, 4, 30)) is None, "91 days have not passed"


def test_the_interval_is_welchs() -> None:
    # Table of Welch's t: difference 1, standard error sqrt(1/3 + 1/3), 4 degrees of freedom.
    found = difference(np.array([2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.0]), OPENED, CUT)
    assert (found.members, found.others) == (3, 2)
    assert (found.low, found.high) == pytest.approx(
        (1 - 2.7764 * (2 / 3) ** 0.5, 1 + 2.7764 * (2 / 3) ** 0.5), abs=1e-3
    )


def test_traits_are_ordered_by_how_far_they_set_members_apart() -> None:
    features = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [5.0, 5.0, 5.0, 5.0], "c": [np.nan, 9.0, 1.0, 2.0]})
    found = traits(features, np.array([False, False, True, True]), ["b", "a", "c"])
    assert [(trait.feature, trait.higher) for trait in found] == [("a", 1.0), ("c", 0.0), ("b", 0.5)]
    assert (found[0].members, found[0].others) == (3.5, 1.5)


def test_what_is_lacking_counts_each_customer_once() -> None:
    bounds = Bounds(100.0, 3.0, 30.0)
    features = pd.DataFrame(
        {
            "revenue": [500.0, 60.0, 80.0, 200.0, 200.0, 10.0, 300.0],
            "invoices": [9.0, 3.0, 4.0, 1.0, 3.0, 1.0, 5.0],
            "recency_days": [1.0, 30.0, 5.0, 2.0, 40.0, 300.0, 9.0],
        }
    )
    member = np.array([True, False, False, False, False, False, False])
    rows = lacking(features, member, bounds)
    assert [(row.condition, row.customers, row.revenue) for row in rows] == [
        ("revenue", 2, 140.0), ("invoices", 1, 200.0), ("recency_days", 1, 200.0), (None, 1, 10.0),
    ]  # fmt: skip
    assert [row.gap for row in rows[:3]] == [30.0, 2.0, 10.0]
