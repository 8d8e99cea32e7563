"""A state gives the features of the tables, and requests change only the requested days."""

from __future__ import annotations

import datetime as dt
import io
import json
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import pytest

from pipeline.errors import RefusedError, UsageError
from pipeline.stores.features import feature_rows, planned_days, store_features
from pipeline.stores.model import to_frame
from pipeline.stores.state import RECENT_DAYS, StoreState, store_state
from tests.stores.helpers import AS_OF, HORIZON, plain_days, plain_stores, tables

if TYPE_CHECKING:
    from typing import Any

COUNT = 8


@pytest.fixture(scope="module")
def made() -> tuple[StoreState, pd.DataFrame, pd.DataFrame]:
    """A state, and the features of its tables: those to forecast, and those that training's pass ends with."""
    con = ibis.duckdb.connect(threads=2)
    days, stores = tables(con, plain_days(COUNT), plain_stores(COUNT))
    state = store_state(con, days, stores, AS_OF)
    ahead, trained = (to_frame(store_features(con, days, stores, AS_OF, train=train)) for train in (False, True))
    return state, ahead, trained[trained["origin"] == 0].reset_index(drop=True)


@pytest.fixture(scope="module")
def state(made: tuple[StoreState, pd.DataFrame, pd.DataFrame]) -> StoreState:
    return made[0]


def requested_day(state: StoreState, **changed: Any) -> pd.DataFrame:
    """A planned Monday of store 3 without promotion, otherwise as changed."""
    days = planned_days(state)
    monday = days[(days["store"] == 3) & (days["day"].dt.weekday == 0) & ~days["promo"]].head(1)
    return monday.assign(**changed)


def test_a_state_knows_its_day_horizon_and_stores(state: StoreState) -> None:
    assert (state.as_of, state.horizon) == (AS_OF, HORIZON)
    assert state.stores.tolist() == list(range(1, COUNT + 1))


def test_a_state_survives_serialisation(state: StoreState) -> None:
    back = StoreState.from_bytes(state.to_bytes())
    assert (back.as_of, back.horizon, back.plan.first) == (state.as_of, state.horizon, state.plan.first)
    pd.testing.assert_frame_equal(planned_days(back), planned_days(state))
    pd.testing.assert_frame_equal(feature_rows(back, planned_days(back)), feature_rows(state, planned_days(state)))


def test_a_state_keeps_the_sales_of_the_last_weeks(state: StoreState) -> None:
    days = plain_days(COUNT)
    last = [AS_OF - dt.timedelta(days=n) for n in range(RECENT_DAYS, 0, -1)]
    sales = days.assign(day=pd.to_datetime(days["day"]).dt.date, sales=days["sales"].where(days["open"]))
    wanted = sales.pivot(index="store", columns="day", values="sales")[last].to_numpy(float)
    np.testing.assert_allclose(state.recent_sales, wanted, rtol=1e-6)
    np.testing.assert_array_equal(StoreState.from_bytes(state.to_bytes()).recent_sales, state.recent_sales)


def test_a_state_of_an_earlier_release_has_no_recent_sales(state: StoreState) -> None:
    with np.load(io.BytesIO(state.to_bytes())) as file:
        arrays = {name: file[name] for name in file if name != "recent_sales"}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    back = StoreState.from_bytes(buffer.getvalue())
    assert back.recent_sales.shape == (COUNT, 0)
    pd.testing.assert_frame_equal(planned_days(back), planned_days(state))


def test_a_state_of_other_features_is_refused(state: StoreState) -> None:
    with np.load(io.BytesIO(state.to_bytes())) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    header["layout"]["design"].remove("promo")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays | {"header": np.array(json.dumps(header))})
    with pytest.raises(RefusedError, match="another version"):
        StoreState.from_bytes(buffer.getvalue())


def test_rows_are_the_features_to_forecast(made: tuple[StoreState, pd.DataFrame, pd.DataFrame]) -> None:
    state, ahead, trained = made
    found = feature_rows(state, planned_days(state))
    pd.testing.assert_frame_equal(found, ahead)
    pd.testing.assert_frame_equal(found, trained)


def test_rows_do_not_depend_on_other_rows_or_their_order(made: tuple[StoreState, pd.DataFrame, pd.DataFrame]) -> None:
    state, ahead, _ = made
    some = planned_days(state).sample(60, random_state=5)
    pd.testing.assert_frame_equal(feature_rows(state, some), ahead.loc[some.index].reset_index(drop=True))
    for at in some.index[:10]:
        pd.testing.assert_frame_equal(feature_rows(state, some.loc[[at]]), ahead.loc[[at]].reset_index(drop=True))


def test_a_day_may_be_a_date_a_timestamp_or_a_string(state: StoreState) -> None:
    one = requested_day(state)
    for day in (one["day"].dt.date, one["day"].dt.strftime("%Y-%m-%d"), one["day"].astype("datetime64[ns]")):
        pd.testing.assert_frame_equal(feature_rows(state, one.assign(day=day)), feature_rows(state, one))


def test_no_days_give_no_rows(made: tuple[StoreState, pd.DataFrame, pd.DataFrame]) -> None:
    state, ahead, _ = made
    none = feature_rows(state, planned_days(state).head(0))
    assert list(none.columns) == list(ahead.columns)
    assert none.empty


def test_a_requested_promotion_overrides_the_plan_of_this_request_only(state: StoreState) -> None:
    before, kept = requested_day(state), state.to_bytes()
    plan, promoted = (feature_rows(state, requested_day(state, promo=promo)).iloc[0] for promo in (False, True))
    assert (plan["promo"], promoted["promo"], promoted["promo_since"], promoted["promo_until"]) == (0, 1, 0, 0)
    assert promoted["linear"] - plan["linear"] == pytest.approx(promoted["effect_promo"], abs=0.1)
    assert state.to_bytes() == kept
    pd.testing.assert_series_equal(feature_rows(state, before).iloc[0], plan)


def test_a_requested_holiday_changes_the_distances_of_the_other_requested_days(state: StoreState) -> None:
    """A school holiday on one of the days requested_day for is as near to the others as it is."""
    one = requested_day(state)
    both = pd.concat([one, one.assign(day=one["day"] + pd.Timedelta(days=2))])
    both["school_holiday"] = [True, False]
    found = feature_rows(state, both)
    assert found["school_since"].tolist() == [0, 2]
    assert found["school_day"].tolist() == [1, 0]
    alone = feature_rows(state, both.tail(1)).iloc[0]
    assert alone["school_since"] > 2


def test_requests_do_not_affect_each_other(state: StoreState) -> None:
    """The same two days with and without a promotion, as two requests in one call and as two calls."""
    monday = requested_day(state)
    days = pd.concat([monday, monday.assign(day=monday["day"] + pd.Timedelta(days=1))])
    variants = [days.assign(promo=promo) for promo in (True, False)]
    together = feature_rows(state, pd.concat([days.assign(request=k) for k, days in enumerate(variants)]))
    apart = pd.concat([feature_rows(state, days) for days in variants], ignore_index=True)
    pd.testing.assert_frame_equal(together, apart)
    assert together["promo"].tolist() == [1, 1, 0, 0]


def test_a_day_that_is_planned_closed_can_be_requested_open(state: StoreState) -> None:
    sunday = requested_day(state)
    sunday["day"] -= pd.Timedelta(days=1)
    planned_ones = planned_days(state)[["store", "day"]].merge(sunday[["store", "day"]])
    assert planned_ones.empty
    monday = feature_rows(state, requested_day(state)).iloc[0]
    found = feature_rows(state, pd.concat([sunday, requested_day(state)]))
    assert found["weekday"].tolist() == [6, 0]
    assert found["open_week"].iloc[1] == monday["open_week"] + 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"store": 99}, "store 99"),
        ({"day": pd.Timestamp(AS_OF) - pd.Timedelta(days=1)}, "outside"),
        ({"day": pd.Timestamp(AS_OF) + pd.Timedelta(days=HORIZON)}, "outside"),
        ({"state_holiday": "whitsun"}, "whitsun"),
    ],
)
def test_days_that_cannot_be_forecast_are_refused(state: StoreState, changed: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        feature_rows(state, requested_day(state, **changed))


def test_missing_columns_and_duplicate_days_are_refused(state: StoreState) -> None:
    one = requested_day(state)
    with pytest.raises(UsageError, match="promo"):
        feature_rows(state, one.drop(columns="promo"))
    with pytest.raises(UsageError, match="twice"):
        feature_rows(state, pd.concat([one, one]))


def test_without_a_plan_there_is_a_state_but_no_planned_day(con: ibis.backends.duckdb.Backend) -> None:
    days, stores = tables(con, plain_days(COUNT, until=AS_OF), plain_stores(COUNT))
    state = store_state(con, days, stores, AS_OF)
    assert planned_days(state).empty
    day = pd.DataFrame(
        {
            "store": [1],
            "day": [AS_OF + dt.timedelta(days=3)],
            "promo": True,
            "state_holiday": "none",
            "school_holiday": False,
        }
    )
    assert np.isfinite(feature_rows(state, day)["linear"].iloc[0])
