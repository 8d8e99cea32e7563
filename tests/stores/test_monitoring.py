"""What is watched of the forecast: how wrong it was once sales came, and where stores stand."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import watch
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.stores.domain import DOMAIN
from pipeline.stores.monitoring import MAX_ERROR_RATIO, OF_THE_DAY, align_days, error_since, first_days
from pipeline.stores.specs import STORE_SALES
from pipeline.training import lifecycle
from tests.stores.simulated import AS_OF, CHAIN, LATER, MODEL


def change(settings: Settings, factor: float) -> None:
    """Let the store days from AS_OF on have brought so many times what they did."""
    lake = Lake(settings)
    days = [AS_OF + dt.timedelta(days=n) for n in range((LATER - AS_OF).days)]
    rows = lake.read("store_days", where={"day": days})
    place = rows.schema.get_field_index("sales")
    lake.replace("store_days", {"day": days}, rows.set_column(place, "sales", pc.multiply(rows["sales"], factor)))


def test_the_error_is_that_of_the_forecasts_that_were_made(chain: Settings) -> None:
    champion = Registry(chain).load(MODEL, trusted_types=STORE_SALES.trusted_types)
    found = error_since(chain, champion, LATER)
    assert found is not None
    assert found.rows == pc.sum(CHAIN.days(LATER - dt.timedelta(days=28), LATER)["open"]).as_py()
    assert 0.04 < found.observed < 0.08  # the noise is 0.06
    change(chain, 1.5)
    worse = error_since(chain, champion, LATER)
    assert worse is not None
    assert worse.observed == pytest.approx(1 / 3, abs=0.05)


def test_what_has_not_come_says_nothing(chain: Settings) -> None:
    champion = Registry(chain).load(MODEL, trusted_types=STORE_SALES.trusted_types)
    assert error_since(chain, champion, AS_OF) is None
    assert error_since(chain, champion, AS_OF + dt.timedelta(days=3)) is None


@pytest.mark.parametrize(("factor", "retrain"), [(1.0, False), (1.5, True)])
def test_too_wrong_a_forecast_asks_for_a_training(chain: Settings, factor: float, retrain: bool) -> None:
    change(chain, factor)
    results = []
    for day in (LATER - dt.timedelta(days=1), LATER):
        lifecycle.build_features(chain, DOMAIN, day)
        results += watch(chain, day, DOMAIN.specs())
    assert not results[0].retrain, "one check is not enough"
    assert results[1].retrain is retrain, results[1].reason
    rows = Lake(chain).read("drift", where={"as_of": [LATER]})
    error = rows.filter(pc.equal(rows["kind"], "performance")).to_pylist()[0]
    assert error["drifted"] is retrain
    assert error["threshold"] == pytest.approx(MAX_ERROR_RATIO)


def test_each_store_is_compared_once() -> None:
    rows = pa.table({"store": [2, 1, 1], "day": [dt.date(2024, 7, 3), dt.date(2024, 7, 4), dt.date(2024, 7, 2)]})
    assert first_days(rows)["day"].tolist() == [dt.date(2024, 7, 2), dt.date(2024, 7, 3)]


def test_stores_are_asked_about_the_days_of_then() -> None:
    columns = dict.fromkeys(OF_THE_DAY, 1.0)
    then = pd.DataFrame([{"store": 1, "level_28": 0.1, **columns}, {"store": 2, "level_28": 0.2, **columns}])
    now = then.assign(store=[2, 3], level_28=[0.5, 0.6], weekday=4.0, last_1_store_3=9.0)
    found = align_days(then, now)
    assert found["store"].tolist() == [2]
    assert found["level_28"].tolist() == [0.5]
    assert found["weekday"].tolist() == [1.0]
    assert found["last_1_store_3"].tolist() == [1.0]
