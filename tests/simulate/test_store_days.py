"""The simulated chain has its known effects, whichever days are requested."""

from __future__ import annotations

import datetime as dt

import ibis
import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UsageError
from pipeline.simulate.store_days import STORE_DAYS, STORES, Chain, Effects, holiday_of, promotion_on
from pipeline.stores.features import store_features
from pipeline.stores.model import to_frame

START, AS_OF = dt.date(2013, 1, 1), dt.date(2014, 9, 2)
CHAIN = Chain(count=12)


@pytest.fixture(scope="module")
def days() -> pd.DataFrame:
    return CHAIN.days(START, AS_OF + dt.timedelta(days=42)).to_pandas()


def test_a_day_does_not_depend_on_the_requested_days(days: pd.DataFrame) -> None:
    day = dt.date(2014, 3, 4)
    alone = CHAIN.days(day, day + dt.timedelta(days=1))
    assert alone.schema == STORE_DAYS
    pd.testing.assert_frame_equal(alone.to_pandas(), days[days["day"] == day].reset_index(drop=True))
    assert CHAIN.stores().schema == STORES


def test_closed_is_zero_and_open_is_not(days: pd.DataFrame) -> None:
    assert (days.loc[~days["open"], "sales"] == 0).all()
    assert (days.loc[days["open"], ["sales", "customers"]] > 0).all().all()
    assert not days.loc[days["state_holiday"] != "none", "open"].any()


def test_calendar() -> None:
    assert holiday_of(dt.date(2014, 4, 18)) == "easter"
    assert holiday_of(dt.date(2014, 12, 25)) == "christmas"
    assert promotion_on(dt.date(2013, 1, 7))
    assert not promotion_on(dt.date(2013, 1, 12))
    assert not promotion_on(dt.date(2013, 1, 14))


def test_the_features_recover_what_was_planted(days: pd.DataFrame) -> None:
    con = ibis.duckdb.connect(threads=2)
    table = con.create_table("store_days", days).mutate(day=ibis._.day.cast("date"))
    stores = con.create_table("stores", CHAIN.stores())
    found = to_frame(store_features(con, table, stores, AS_OF, train=False)).groupby("store").first()
    truth = CHAIN.truth().set_index("store")
    monday_promotion = found["effect_promo"]  # of the weekday the others are held against
    np.testing.assert_allclose(monday_promotion.mean(), CHAIN.effects.promotion, atol=0.03)
    np.testing.assert_allclose(found["sales_a_customer"], np.log(truth["a_customer"]), atol=0.01)
    assert np.corrcoef(found["store_level"], truth["level"])[0, 1] > 0.95


def test_without_effects_none_are_found() -> None:
    chain = Chain(count=6, effects=Effects(promotion=0.0))
    rows = chain.days(START, START + dt.timedelta(days=200)).to_pandas().query("open")
    weekdays = rows[pd.to_datetime(rows["day"]).dt.weekday < 5].assign(log=lambda rows: np.log(rows["sales"]))
    by_promotion = weekdays.groupby("promo")["log"].mean()
    assert by_promotion[True] - by_promotion[False] == pytest.approx(0, abs=0.03)


def test_impossible_chains_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot be simulated"):
        Chain(count=0)
