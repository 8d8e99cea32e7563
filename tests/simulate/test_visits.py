"""The simulated shelf and door: independent of the requested days, with known coefficients that can be estimated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.simulate.deliveries import delivery_bytes, is_trading_day
from pipeline.simulate.footfall import Door
from pipeline.simulate.visits import BRANDS, Shelf

START = date(2024, 1, 1)


@settings(max_examples=15, deadline=None)
@given(first=st.integers(-5, 120), length=st.integers(0, 40), cut=st.integers(0, 40), seed=st.integers(0, 9))
def test_any_slice_is_the_concatenation_of_its_parts(first: int, length: int, cut: int, seed: int) -> None:
    shelf, start = Shelf(seed=seed, people=30), START + timedelta(days=first)
    end, middle = start + timedelta(days=length), start + timedelta(days=min(cut, length))
    parts = pa.concat_tables([shelf.visits(start, middle), shelf.visits(middle, end)])
    assert parts.equals(shelf.visits(start, end))
    door = Door(seed=seed)
    assert pa.concat_tables([door.days(start, middle), door.days(middle, end)]).equals(door.days(start, end))


def test_the_columns_of_visits_are_consistent() -> None:
    visits = Shelf().visits(START, date(2024, 7, 1)).to_pandas()
    assert not visits.duplicated(["ID", "Day"]).any()
    bought = visits["Incidence"] == 1
    assert ((visits["Quantity"] > 0) == bought).all()
    assert ((visits["Brand"] != "0") == bought).all()
    assert set(visits.loc[bought, "Brand"]) == set(BRANDS)
    assert (visits.filter(like="Price_") > 0).all().all()
    assert 0.1 < bought.mean() < 0.4


def test_a_planted_drift_of_prices_begins_on_its_day() -> None:
    day, end = date(2024, 3, 1), date(2024, 4, 1)
    usual, drifted = (
        Shelf().visits(START, end).to_pandas(),
        Shelf(prices=1.5, prices_from=day).visits(START, end).to_pandas(),
    )
    before = usual["Day"] < day.isoformat()
    pd.testing.assert_frame_equal(usual[before], drifted[drifted["Day"] < day.isoformat()])
    assert drifted["Price_1"].iloc[-1] == pytest.approx(1.5 * usual["Price_1"].iloc[-1], abs=0.01)


def test_addresses() -> None:
    assert Shelf.from_uri("simulate://visits?seed=3&people=50").people == 50
    assert is_trading_day("simulate://visits?seed=3", START)
    head = delivery_bytes("simulate://people?people=12", START, START).decode().splitlines()
    assert len(head) == 13
    assert delivery_bytes("simulate://footfall", START, START + timedelta(days=2)).count(b"\n") == 3
    for address, fault in (
        ("simulate://visits?colour=1", "colour: unknown option"),
        ("simulate://visits?seed=x", "cannot read 'x'"),
        ("simulate://visits?seed=1&seed=2", "given twice"),
        ("simulate://footfall?visitors=0", "cannot be simulated"),
        ("simulate://people?people=1", "cannot be simulated"),
    ):
        with pytest.raises(UsageError, match=fault):
            delivery_bytes(address, START, START)


def test_buyers_follow_the_known_line() -> None:
    days = Door().days(START, date(2026, 1, 1)).to_pandas()
    slope, intercept = np.polyfit(days["Visitor"], days["Buyer"], 1)
    assert (slope, intercept) == pytest.approx((Door().slope, Door().intercept), rel=0.15)


@pytest.fixture(scope="module")
def engine_visits() -> Callable[[Shelf], pd.DataFrame]:
    import ibis

    from pipeline.shoppers import features, wide_frame
    from tests.shoppers.helpers import PEOPLE, VISITS, typed

    con, until = ibis.duckdb.connect(threads=2), date(2025, 1, 1)

    def make(shelf: Shelf) -> pd.DataFrame:
        visits = ibis.memtable(typed("visits", shelf.visits(START, until), VISITS))
        people = ibis.memtable(typed("people", shelf.people_table(), PEOPLE))
        return wide_frame.frame(con.to_pyarrow(features.visit_features(visits, until, BRANDS, people)))

    return make


def test_confidence_intervals_have_their_coverage_over_many_shelves(
    engine_visits: Callable[[Shelf], pd.DataFrame],
) -> None:
    from pipeline.shoppers import brand_choice, purchase_probability, purchase_quantity
    from pipeline.shoppers.estimation import standard_errors
    from pipeline.simulate.visits import Truth

    truth, away = Truth(), []
    planted = [*truth.constants[1:], *truth.log_price, truth.brand_promotion, truth.last_brand, truth.loyalty]
    for seed in range(1, 7):
        visits = engine_visits(Shelf(seed=seed))
        choice = brand_choice.train(visits, seed=7).logit_
        away += list((choice.coef_ - planted) / standard_errors(choice))
        chance = purchase_probability.train(visits, seed=7)
        scale = chance["columns"].named_transformers_["shelf"].scale_
        shelf = chance[-1].coef_[1:3] - np.array([truth.price, truth.promotion]) * scale
        away += list(shelf / standard_errors(chance[-1])[1:3])
        units = purchase_quantity.train(visits, seed=7).glm_
        aims = [truth.log_price_quantity, truth.promotion_quantity]
        away += list((units.coef_[1:3] - aims) / standard_errors(units)[1:3])
    assert len(away) == 96
    # Of 96 intervals of 95 %, fewer than 84 hold the truth less than once in a thousand times.
    assert (np.abs(away) < 1.96).sum() >= 84
    assert np.abs(np.mean(away)) < 0.4
