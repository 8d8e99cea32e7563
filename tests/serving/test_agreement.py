"""Online and batch agree: the service answers a row with the values that batch scoring wrote for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from pipeline.customers.features import FEATURE_COLUMNS
from pipeline.endpoints import RowError
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.shoppers.domain import CHAIN, TRUSTED_TYPES
from pipeline.shoppers.features import DEMOGRAPHICS, HISTORY
from pipeline.shoppers.what_if import Models, what_if
from pipeline.shoppers.wide_frame import frame
from pipeline.stores import endpoint as store_sales
from pipeline.stores.state_files import newest_state, read_state, write_state
from pipeline.stores.store_endpoint import RecordedDay, StoreAnswer, StorePredictor, StoreRow
from tests.serving.helpers import AS_OF, SAME, store_forecasts
from tests.stores import simulated


def read(shop: Settings, table: str, key: str) -> pd.DataFrame:
    rows: pd.DataFrame = Lake(shop).read(table, where={"as_of": [AS_OF]}).to_pandas()
    return rows.sort_values(key, ignore_index=True)


def predict(client: httpx.Client, path: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    response = client.post(path, json={"rows": rows})
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["answers"]
    assert len(answers) == len(rows)
    return answers


def present(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row that are not missing."""
    return {name: value for name, value in row.items() if value is not None and value == value}


def check_segments(answers: list[dict[str, Any]], batch: pd.DataFrame) -> None:
    online = pd.DataFrame(answers)
    assert online["segment"].tolist() == batch["segment"].tolist()
    assert online["segment_name"].tolist() == batch["segment_name"].tolist()
    assert online["model_version"].tolist() == batch["model_version"].tolist()
    for column in ("distance", "next_distance"):
        np.testing.assert_allclose(online[column], batch[column], **SAME)


def test_segments_from_features(client: httpx.Client, shop: Settings) -> None:
    features, batch = read(shop, "customer_features", "customer_id"), read(shop, "customer_segments", "customer_id")
    rows = [{"features": present(row)} for row in features[list(FEATURE_COLUMNS)].to_dict("records")]
    check_segments(predict(client, "/segments", rows), batch)


def test_segments_from_invoice_lines(client: httpx.Client, shop: Settings) -> None:
    batch = read(shop, "customer_segments", "customer_id")
    lines = Lake(shop).read("transactions").to_pandas()
    columns = ["invoice", "stock_code", "quantity", "unit_price", "invoiced_at", "country"]
    lines["invoiced_at"] = lines["invoiced_at"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    of = {customer: rows[columns].to_dict("records") for customer, rows in lines.groupby("customer_id")}
    rows = [
        {"lines": [present(line) for line in of[customer]], "as_of": AS_OF.isoformat()}
        for customer in batch["customer_id"]
    ]
    check_segments(predict(client, "/segments", rows), batch)


STORES = simulated.AS_OF


def test_a_store_is_described_by_the_tables(client: httpx.Client, shop: Settings) -> None:
    """Eight recorded weeks with the sales of open days, and six planned ones."""
    recorded = Lake(shop).read("store_days", where={"store": [3]}).to_pandas().sort_values("day")
    planned = Lake(shop).read("store_plans", where={"store": [3]}).to_pandas().sort_values("day")
    recorded = recorded[recorded["day"] < STORES].tail(56)
    recorded["sales"] = recorded["sales"].where(recorded["open"]).astype(object).where(recorded["open"], None)
    columns = ["day", "open", "promo", "state_holiday", "school_holiday"]
    answer = client.get("/stores/3").json()
    assert (answer["store"], answer["as_of"]) == (3, STORES.isoformat())
    parts = {"recorded": recorded[[*columns, "sales"]], "planned": planned[columns].head(42)}
    for part, wanted in parts.items():
        days = wanted.assign(day=wanted["day"].astype(str)).to_dict("records")
        assert [day | {"sales": pytest.approx(day["sales"])} if "sales" in day else day for day in days] == answer[part]
    assert any(day["sales"] is None for day in answer["recorded"])
    (posted,) = predict(client, "/stores", [{"store": 3}])
    assert posted == answer


def test_days_without_a_row_are_null_and_in_their_place(own_shop: Settings) -> None:
    """Nothing is skipped: a day that no delivery had is there, and says that nothing is known of it."""
    lake = Lake(own_shop)
    state = read_state(lake, newest_state(lake))
    for t in (-3, 5):
        state.plan.known[0, t - state.plan.first] = False
    state.recent_sales[0, -3] = np.nan
    write_state(lake, state.as_of, state)
    (answer,) = StorePredictor({}, own_shop).predict([[StoreRow(store=int(state.stores[0]))]]).answers
    assert isinstance(answer, StoreAnswer)
    assert [day.day for day in (*answer.recorded, *answer.planned)] == [
        state.as_of + timedelta(days=t) for t in range(-56, 42)
    ]
    assert [day.day for day in answer.planned if day.open is None] == [state.as_of + timedelta(days=5)]
    (unknown,) = (day for day in answer.recorded if day.open is None)
    assert unknown == RecordedDay(state.as_of - timedelta(days=3), None, None, None, None, None)


def test_an_unknown_store_and_what_is_no_number_are_refused(client: httpx.Client) -> None:
    unknown, malformed = client.get("/stores/999"), client.get("/stores/abc")
    assert (unknown.status_code, malformed.status_code) == (404, 422)
    assert "one of the 12 stores" in unknown.json()["allowed"]
    assert malformed.json()["detail"].startswith("The address does not match")


def check_forecasts(answers: list[dict[str, Any]], batch: pd.DataFrame) -> None:
    online = pd.DataFrame(answers)
    for column in ("mean", "low_80", "high_80", "low_95", "high_95"):
        np.testing.assert_allclose(online[column], batch[column], **SAME)
    for column in ("open", "model_version"):
        assert online[column].tolist() == batch[column].tolist()


def test_store_sales_as_planned(client: httpx.Client, shop: Settings) -> None:
    batch = store_forecasts(shop)
    assert not batch["open"].all()
    rows = [{"store": store, "day": str(day)} for store, day in zip(batch["store"], batch["day"], strict=True)]
    check_forecasts(predict(client, "/predict", rows), batch)
    # Neither the order of the rows nor their distribution over requests matters.
    check_forecasts(predict(client, "/predict", rows[::-1])[::-1], batch)
    few = list(range(0, len(rows), 37))
    check_forecasts([predict(client, "/predict", [rows[n]])[0] for n in few], batch.iloc[few])


def test_store_sales_if_the_request_repeats_the_plan(client: httpx.Client, shop: Settings) -> None:
    batch = store_forecasts(shop)
    plan = Lake(shop).read("store_plans").to_pandas().merge(batch[["store", "day"]], on=["store", "day"])
    plan = plan.sort_values(["store", "day"], ignore_index=True)
    columns = ["store", "open", "promo", "state_holiday", "school_holiday"]
    rows = [row | {"day": str(day)} for row, day in zip(plan[columns].to_dict("records"), plan["day"], strict=True)]
    check_forecasts(predict(client, "/predict", rows), batch)


def test_plans_of_requests_that_are_answered_together_do_not_mix(client: httpx.Client, shop: Settings) -> None:
    batch = store_forecasts(shop)
    of_one = batch[(batch["store"] == 1) & batch["open"]].head(10)
    plain = [{"store": 1, "day": str(day)} for day in of_one["day"]]
    other = [row | {"promo": True} for row in plain]
    alone = {name: predict(client, "/predict", rows) for name, rows in (("plain", plain), ("other", other))}
    assert alone["plain"] != alone["other"]
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda n: predict(client, "/predict", other if n % 2 else plain), range(40)))
    for n, answers in enumerate(many):
        assert answers == alone["other" if n % 2 else "plain"]


def test_unknown_stores_and_days_beyond_the_horizon_are_refused_row_by_row(client: httpx.Client) -> None:
    good = {"store": 1, "day": "2024-07-03"}
    rows = [
        good,
        {"store": 999, "day": "2024-07-03"},
        {"store": 1, "day": "2024-07-01"},
        {"store": 1, "day": "2024-08-13"},
        good | {"promo": True},
        {"store": 2, "day": "2024-07-04", "open": False},
    ]
    answers = predict(client, "/predict", rows)
    assert answers[0]["mean"] > 0
    assert "store" in answers[1]["error"]["what"]
    assert answers[2]["error"]["allowed"] == answers[3]["error"]["allowed"] == "42 days from 2024-07-02 on"
    assert "twice" in answers[4]["error"]["what"]
    assert (answers[5]["mean"], answers[5]["open"]) == (0, False)
    assert all(one["error"]["todo"] for one in answers if "error" in one)


def test_ten_thousand_rows_are_one_request(client: httpx.Client, shop: Settings) -> None:
    batch = store_forecasts(shop)
    rows = [{"store": store, "day": str(day)} for store, day in zip(batch["store"], batch["day"], strict=True)]
    many = (rows * 20)[:10_000]
    answers = predict(client, "/predict", many)
    check_forecasts(answers[: len(rows)], batch)
    assert all("twice" in one["error"]["what"] for one in answers[len(rows) :])


def test_footfall(client: httpx.Client, shop: Settings) -> None:
    batch = read(shop, "footfall_predictions", "number")
    online = pd.DataFrame(predict(client, "/footfall", [{"visitors": visitors} for visitors in batch["visitors"]]))
    for column, batch_column in (("buyers", "predicted"), ("low", "low"), ("high", "high")):
        np.testing.assert_allclose(online[column], batch[batch_column], **SAME)


@pytest.fixture(scope="module")
def shoppers(shop: Settings) -> pd.DataFrame:
    return read(shop, "shopper_features", "person")


def check_purchases(answers: list[dict[str, Any]], batch: pd.DataFrame) -> None:
    online = pd.DataFrame(answers)
    assert online["likely_brand"].tolist() == batch["likely_brand"].tolist()
    for column, batch_column in (("purchase_probability", "purchase_probability"), ("units", "units")):
        np.testing.assert_allclose(online[column], batch[batch_column], **SAME)
    for answer, share in zip(answers, batch["likely_brand_share"], strict=True):
        brand = answer["brands"][answer["likely_brand"]]
        np.testing.assert_allclose(brand["probability"], share, **SAME)
        np.testing.assert_allclose(brand["units"], answer["units"], **SAME)
        assert sum(one["probability"] for one in answer["brands"].values()) == pytest.approx(1)


def shelf(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "prices": present(dict(row["prices"])),
        "promotions": {brand: bool(there) for brand, there in row["promotions"]},
    }


def test_purchases_from_states(client: httpx.Client, shop: Settings, shoppers: pd.DataFrame) -> None:
    state = [*HISTORY, "purchases", "units", "last_brand", *DEMOGRAPHICS]
    rows = [
        shelf(row)
        | {
            "state": present({name: row[name] for name in state})
            | {name: dict(row[name]) for name in ("brand_purchases", "brand_units")}
        }
        for row in shoppers.to_dict("records")
    ]
    check_purchases(predict(client, "/shoppers/purchase", rows), read(shop, "shopper_scores", "person"))


def test_purchases_from_visits(client: httpx.Client, shop: Settings, shoppers: pd.DataFrame) -> None:
    visits = Lake(shop).read("visits").to_pandas()
    visits = visits[visits["day"] < AS_OF]
    visits["day"] = visits["day"].astype(str)
    people = Lake(shop).read("people").to_pandas().set_index("person")[list(DEMOGRAPHICS)]
    columns = ["day", "bought", "brand", "quantity"]
    of = {person: [present(v) for v in rows[columns].to_dict("records")] for person, rows in visits.groupby("person")}
    rows = [
        shelf(row)
        | {
            "visits": [visit | {"quantity": int(visit.get("quantity", 0))} for visit in of[row["person"]]],
            "day": AS_OF.isoformat(),
            "person": present(people.loc[row["person"]].to_dict()),
        }
        for row in shoppers.to_dict("records")
    ]
    check_purchases(predict(client, "/shoppers/purchase", rows), read(shop, "shopper_scores", "person"))


def test_elasticities_match_the_effect_of_a_higher_price(
    client: httpx.Client, examples: dict[str, dict[str, Any]]
) -> None:
    row = examples["/shoppers/purchase"]["rows"][0]
    (brand, price), *_ = row["prices"].items()
    dearer = row | {"prices": row["prices"] | {brand: price * 1.01}}
    before, after = predict(client, "/shoppers/purchase", [row, dearer])

    def units(answer: dict[str, Any]) -> float:
        one = answer["brands"][brand]
        return float(answer["purchase_probability"] * one["probability"] * one["units"])

    elasticity = np.log(units(after) / units(before)) / np.log(1.01)
    assert before["brands"][brand]["elasticity"]["total"] == pytest.approx(elasticity, rel=1e-6)


def test_recommendations_and_customers_are_those_of_the_night(client: httpx.Client, shop: Settings) -> None:
    rows = read(shop, "recommendations", "subject")
    best = rows[rows["list"] == "best"].set_index("subject")["products"]
    customer = best.index[3]
    mine, nobody = predict(client, "/recommendations", [{"customer": customer}, {}])
    assert [product["stock_code"] for product in mine["products"]] == list(best[customer])
    assert nobody["source"] == "popular"
    found = client.get(f"/customers/{customer}")
    assert found.status_code == 200, found.text
    (posted,) = predict(client, "/customers", [{"customer": customer}])
    assert found.json() == posted
    segments = read(shop, "customer_segments", "customer_id").set_index("customer_id")
    assert posted["segment_name"] == segments.loc[customer, "segment_name"]
    again = rows[(rows["list"] == "buy again") & (rows["subject"] == customer)]["products"].iloc[0]
    assert posted["buy_again"] == list(again)
    assert posted["description"][0].startswith("Last bought")
    unknown = client.get("/customers/nobody")
    assert unknown.status_code == 404
    assert "not known" in unknown.json()["what"]
    assert client.get("/customers/" + "9" * 65).status_code == 422


def test_refused_rows_do_not_affect_the_others(client: httpx.Client) -> None:
    line = {
        "invoice": "1",
        "stock_code": "22222",
        "quantity": 2,
        "unit_price": 2.5,
        "invoiced_at": "2025-03-03T10:00:00",
    }
    later = (AS_OF - timedelta(days=1)).isoformat()
    first, second, third = predict(
        client,
        "/segments",
        [
            {"lines": [line], "as_of": later},
            {"lines": [line], "as_of": "2025-03-03"},
            {"lines": [line | {"stock_code": "POST"}], "as_of": later},
        ],
    )
    assert "segment" in first
    assert "2025-03-03" in second["error"]["allowed"]
    assert third["error"]["todo"]


def test_a_store_without_any_planned_day_is_refused_as_such(shop: Settings) -> None:
    loaded = {
        model: Registry(shop).load(model, 1, store_sales.ENDPOINT.trusted_types)
        for model in store_sales.ENDPOINT.models
    }
    predictor = store_sales.StoreSalesPredictor(loaded, shop)
    state = predictor._state
    known = state.plan.known.copy()
    known[0, :] = False
    known[1, -1] = False
    predictor._state = replace(state, plan=replace(state.plan, known=known))
    last = state.as_of + timedelta(days=state.horizon - 1)
    rows = [store_sales.StoreDay(store=int(state.stores[n]), day=day) for n in (0, 1) for day in (state.as_of, last)]
    answers = predictor.predict([rows]).answers
    errors = [answer.error.what if isinstance(answer, RowError) else "" for answer in answers]
    assert errors == [*["This store is not in the plan"] * 2, "", "This day is not in the plan"]


def test_a_day_outside_the_plan_can_be_forecast_if_the_row_has_all_fields(shop: Settings) -> None:
    loaded = {
        model: Registry(shop).load(model, 1, store_sales.ENDPOINT.trusted_types)
        for model in store_sales.ENDPOINT.models
    }
    predictor = store_sales.StoreSalesPredictor(loaded, shop)
    state = predictor._state
    predictor._state = replace(state, plan=replace(state.plan, known=np.zeros_like(state.plan.known)))
    row = store_sales.StoreDay(
        store=int(state.stores[0]), day=state.as_of, promo=False, state_holiday="none", school_holiday=False
    )
    (answer,) = predictor.predict([[row]]).answers
    assert isinstance(answer, store_sales.Forecast)
    assert answer.open
    assert answer.mean > 0


def test_a_shelf_is_what_the_shoppers_page_computes(client: httpx.Client, shop: Settings) -> None:
    """One price a tenth higher, and then all: as the what-if of the page has it."""
    registry = Registry(shop)
    models = Models(*(registry.load(name, trusted_types=TRUSTED_TYPES).model for name in CHAIN))
    shoppers = frame(Lake(shop).read("shopper_features", where={"as_of": [AS_OF]}))
    today, empty = predict(client, "/shoppers/shelf", [{}, {"prices": {}, "promotions": {}}])
    assert today == empty
    assert today["units_change"] == {"value": 0, "low": 0, "high": 0}
    prices = {brand: one["price"] for brand, one in today["brands"].items()}
    first = min(prices)
    for brand, raised in ((first, [first]), (None, list(prices))):
        (wanted,) = what_if(models, shoppers, brand=brand, changes=[0.1])
        (week,) = predict(client, "/shoppers/shelf", [{"prices": {name: prices[name] * 1.1 for name in raised}}])
        assert week["visits"] == pytest.approx(wanted.visits)
        for name in ("purchases", "units", "revenue", "units_change", "revenue_change"):
            assert week[name] == pytest.approx(vars(getattr(wanted, name)), rel=1e-6, abs=1e-9)
        assert week["brands"][first]["units"]["value"] < today["brands"][first]["units"]["value"]
    assert sum(one["units"]["value"] for one in week["brands"].values()) == pytest.approx(week["units"]["value"])


def test_a_shelf_with_unknown_brands_is_refused_and_the_others_answered(client: httpx.Client) -> None:
    refused, answered = predict(client, "/shoppers/shelf", [{"prices": {"no such": 1.0}}, {"promotions": {}}])
    assert refused["error"]["observed"] == "no such"
    assert answered["units"]["value"] > 0
    too_many = client.post("/shoppers/shelf", json={"rows": [{}] * 6})
    assert too_many.status_code == 422
