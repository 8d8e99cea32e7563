"""Features of visits: by hand, and nothing of the day itself or later in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.backends.duckdb import Backend

from pipeline.shoppers import wide_frame
from pipeline.shoppers.features import HISTORY, LATELY, LONG, SHELF, SHORT
from tests.shoppers.helpers import AS_OF, PEOPLE, VISITS, typed

FIRST = date(2025, 1, 1)
OUTCOMES = ["bought", "brand", "quantity"]


def visit(person: str, day: int, brand: str = "0", quantity: int = 0, price: float | None = 1.0) -> dict[str, Any]:
    return {
        "ID": person,
        "Day": (FIRST + timedelta(days=day)).isoformat(),
        "Incidence": int(quantity > 0),
        "Brand": brand,
        "Quantity": quantity,
        "Price_a": price,
        "Price_b": 3.0,
        "Promotion_a": 1,
        "Promotion_b": 0,
    }


def clean(*rows: dict[str, Any]) -> pa.Table:
    return typed("visits", pa.Table.from_pylist(list(rows)), VISITS)


HAND = (
    visit("x", 0),
    visit("x", 10, "a", 2),
    visit("x", 15, "b", 4, price=None),
    visit("x", 20),
    visit("y", 15, "b", 1),
)


@pytest.fixture(scope="module")
def hand(made: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    frame = made(clean(*HAND), FIRST + timedelta(days=30))
    return frame[frame["person"] == "x"].reset_index(drop=True)


def test_outcomes_are_the_visits_own(hand: pd.DataFrame) -> None:
    assert hand["bought"].tolist() == [0, 1, 1, 0]
    assert hand["brand"].tolist() == ["", "a", "b", ""]
    assert hand["quantity"].tolist() == [0, 2, 4, 0]


def test_the_shelf_is_that_of_the_day(hand: pd.DataFrame) -> None:
    assert hand["price"].tolist() == [2.0, 2.0, 3.0, 2.0]
    assert hand["promotion"].tolist() == [0.5, 0.5, 0.0, 0.5]
    assert np.isnan(hand["prices:a"][2])
    assert hand["promotions:a"].tolist() == [1, 1, 1, 1]


def test_history_by_hand(hand: pd.DataFrame) -> None:
    assert hand["days_since_visit"].tolist() == [60, 10, 5, 5]
    assert hand["days_since_purchase"].tolist() == [365, 365, 5, 5]
    assert hand["never_bought"].tolist() == [1, 1, 0, 0]
    assert hand["bought_last_time"].tolist() == [0, 0, 1, 1]
    assert hand["last_brand"].tolist() == ["", "", "a", "b"]
    forgotten = {
        tau: [np.exp(-np.array(days) / tau) for days in ([20, 10, 5], [10, 5])] for tau in (LONG, LATELY, SHORT)
    }
    last = hand.iloc[3]
    assert last["visits_lately"] == pytest.approx(forgotten[LATELY][0].sum())
    for name, tau in (("purchase_rate", LONG), ("purchase_rate_short", SHORT)):
        visits, purchases = forgotten[tau]
        assert last[name] == pytest.approx((purchases.sum() + 0.25) / (visits.sum() + 1))
    assert last["purchases"] == pytest.approx(forgotten[LONG][1].sum())
    assert last["units"] == pytest.approx(forgotten[LONG][1] @ [2, 4])
    assert last["brand_purchases:a"] == pytest.approx(np.exp(-10 / LONG))
    assert last["brand_units:b"] == pytest.approx(4 * np.exp(-5 / LONG))


def test_a_visit_to_come_has_the_features_that_the_visit_itself_will_have(made: Callable[..., pd.DataFrame]) -> None:
    day = FIRST + timedelta(days=20)
    ahead = made(clean(*HAND), day, ahead=True).set_index("person")
    come = made(clean(*HAND), day + timedelta(days=1))
    itself = come[(come["person"] == "x") & (pd.to_datetime(come["day"]) == pd.Timestamp(day))].iloc[0]
    for name in (*HISTORY, "purchases", "units", "last_brand", "brand_units:a", "brand_purchases:b"):
        assert ahead.loc["x", name] == itself[name], name
    # The newest shelf that anybody saw before that day: person x's on the 15th, where a was not there.
    assert ahead.loc["x", "price"] == 3.0
    assert ahead.loc["x", "weekly_visits"] == 0.75


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, 500), ahead=st.booleans())
def test_as_of_nothing_later_is_read(
    made: Callable[..., pd.DataFrame], clean_visits: pa.Table, cut: int, ahead: bool
) -> None:
    as_of = date(2024, 1, 2) + timedelta(days=cut)
    known = clean_visits.filter(pa.compute.less(clean_visits["day"], as_of))
    few = pa.compute.less(clean_visits["person"], "300000020")
    whole = made(clean_visits.filter(few), as_of, ahead=ahead)
    assert len(whole)
    pd.testing.assert_frame_equal(
        whole, made(known.filter(pa.compute.less(known["person"], "300000020")), as_of, ahead=ahead)
    )


def test_no_feature_sees_what_came_of_its_visit(made: Callable[..., pd.DataFrame]) -> None:
    """Turning every outcome of the last day around changes nothing but the outcomes."""
    day = FIRST + timedelta(days=30)
    before = made(clean(*HAND), day)
    turned = made(clean(*HAND[:3], visit("x", 20, "a", 9), HAND[4]), day)
    pd.testing.assert_frame_equal(before.drop(columns=OUTCOMES), turned.drop(columns=OUTCOMES))


def test_what_models_read_is_never_missing(visits: pd.DataFrame) -> None:
    assert np.isfinite(visits[[*SHELF, *HISTORY]].to_numpy()).all()


def test_demographics_come_from_people_where_visits_have_none(made: Callable[..., pd.DataFrame]) -> None:
    person = dict.fromkeys(PEOPLE.values(), 1) | {"ID": "x", "Income": 1000.5}
    known = made(clean(*HAND), AS_OF, typed("people", pa.Table.from_pylist([person]), PEOPLE))
    mine = known["person"] == "x"
    assert known.loc[mine, "income"].eq(1000.5).all()
    assert known.loc[~mine, "income"].isna().all()


def test_frames_split_by_days(con: Backend) -> None:
    days = pd.DataFrame({"day": pd.date_range("2021-01-01", periods=730)})
    cut = wide_frame.split_at(days)
    earlier, later = wide_frame.earlier_later(days, cut)
    assert (len(earlier), len(later)) == (584, 146)
