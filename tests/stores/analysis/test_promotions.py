"""The planted effect of promotions is found; without promotions the page says so."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.analysis.base import open_days
from pipeline.stores.analysis.promotion_plans import compare_plans, plans_section
from pipeline.stores.analysis.promotions import (
    measure_uplift,
    stores_section,
    uplift_section,
)

AS_OF = dt.date(2024, 3, 4)  # a Monday


def test_the_planted_effect_is_found_overall_by_weekday_and_by_store(planted) -> None:
    found = measure_uplift(planted.days)
    want = planted.chain.effects.promotion
    assert found.overall["sales"] == pytest.approx(want, abs=0.01)
    assert list(found.weekdays.index) == [0, 1, 2, 3, 4], "there is no promotion at the weekend"
    np.testing.assert_allclose(found.weekdays["sales"], want, atol=0.03)
    np.testing.assert_allclose(found.stores["sales"], want, atol=0.05)
    assert found.overall["customers"] == pytest.approx(want, abs=0.01), "more people come"
    assert found.overall["a_customer"] == pytest.approx(0, abs=0.005), "and each buys what they always buy"


def test_the_sentences_give_the_effect_in_per_cent(planted) -> None:
    found = measure_uplift(planted.days)
    text = " ".join(uplift_section(found).sentences)
    assert f"With promotion a store sells {100 * np.expm1(found.overall['sales']):.1f} % more" in text
    stores = planted.stores.to_pandas().set_index("store")
    pays = " ".join(stores_section(found, stores).sentences)
    assert "In 60 of 60 stores promotions raise sales significantly" in pays


def test_the_interval_contains_zero_where_promotions_have_no_effect(by_hand, plain_days) -> None:
    con, table = by_hand
    rng = np.random.default_rng(5)
    records = [
        record | {"sales": 100 * np.exp(rng.normal(0, 0.1)), "promo": k // 7 % 2 == 0}
        for k, record in enumerate(plain_days(140))
    ]
    found = measure_uplift(open_days(con, table(records)))
    assert found.stores["low"].iloc[0] < 0 < found.stores["high"].iloc[0]
    stores = pd.DataFrame({"store_type": ["a"], "assortment": ["a"]}, index=[1])
    assert "In 0 of 1 store promotions raise sales significantly" in stores_section(found, stores).sentences[0]


def test_without_promotions_there_is_no_comparison(by_hand, plain_days) -> None:
    con, table = by_hand
    found = measure_uplift(open_days(con, table(plain_days(60))))
    for section in (uplift_section(found), stores_section(found, pd.DataFrame())):
        assert section.figure is None
        assert "No store has enough days" in section.sentences[0]


def test_a_weekday_needs_enough_days_with_and_without_promotion(by_hand, plain_days) -> None:
    """Each weekday has two days with promotion, one fewer than `MIN_DAYS`; a third week makes it enough."""
    con, table = by_hand
    for weeks, stores in ((2, 0), (3, 1)):
        records = [day | {"promo": k // 7 < weeks} for k, day in enumerate(plain_days(70))]
        assert len(measure_uplift(open_days(con, table(records))).stores) == stores


def test_without_customers_only_the_effect_on_sales_is_shown(by_hand, plain_days) -> None:
    con, table = by_hand
    records = [record | {"promo": k // 7 % 2 == 0} for k, record in enumerate(plain_days(60))]
    days = table(records)
    found = measure_uplift(open_days(con, days.mutate(customers=days.customers.nullif(10))))
    assert "Customers were not counted" in " ".join(uplift_section(found).sentences)


def _both(table, plain_days, *, before: bool, ahead: bool):
    past = [record | {"promo": before and k % 2 == 0} for k, record in enumerate(plain_days(40, "2024-01-24"))]
    coming = [record | {"promo": ahead and k < 3} for k, record in enumerate(plain_days(42, "2024-03-04"))]
    return compare_plans(table(past), table(coming), AS_OF)


@pytest.mark.parametrize(
    ("before", "ahead", "text"),
    [
        (False, False, "No store had a promotion in the past, and none has one on the days to forecast."),
        (
            True,
            False,
            "No store has a promotion on the 42 days to forecast; in the past, these stores had one on 50.0 %",
        ),
        (False, True, "No store had a promotion in the past, but 7.1 % of the planned store days have one"),
        (
            True,
            True,
            "There are promotions on 3 of the 42 days to forecast, on 7.1 % of the planned store days: less often than",
        ),
    ],
)
def test_plans_are_compared_with_the_past(by_hand, plain_days, before: bool, ahead: bool, text: str) -> None:
    _, table = by_hand
    found = _both(table, plain_days, before=before, ahead=ahead)
    assert text in plans_section(found, AS_OF).sentences[0]
    assert found.days == 42


def test_the_past_is_that_of_the_planned_stores(by_hand, plain_days) -> None:
    _, table = by_hand
    past = plain_days(40, "2024-01-24") + [day | {"promo": True} for day in plain_days(40, "2024-01-24", store=2)]
    found = compare_plans(table(past), table(plain_days(42, "2024-03-04")), AS_OF)
    assert found.shares["past"]["promo"] == 0
    assert (found.promoted == 0).all()
