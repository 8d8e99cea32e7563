"""One feature code: what the service says of a row is what the night wrote of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from pipeline.customers.features import FEATURE_COLUMNS
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from pipeline.shoppers.features import DEMOGRAPHICS, HISTORY
from tests.serving.conftest import AS_OF

SAME = {"rtol": 1e-9, "atol": 1e-9}


def read(shop: Settings, table: str, key: str) -> pd.DataFrame:
    rows: pd.DataFrame = Lake(shop).read(table, where={"as_of": [AS_OF]}).to_pandas()
    return rows.sort_values(key, ignore_index=True)


def asked(client: httpx.Client, path: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    said = client.post(path, json={"rows": rows})
    assert said.status_code == 200, said.text
    answers: list[dict[str, Any]] = said.json()["answers"]
    assert len(answers) == len(rows)
    return answers


def present(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is missing."""
    return {name: value for name, value in row.items() if value is not None and value == value}


def same_segments(answers: list[dict[str, Any]], night: pd.DataFrame) -> None:
    said = pd.DataFrame(answers)
    assert said["segment"].tolist() == night["segment"].tolist()
    assert said["segment_name"].tolist() == night["segment_name"].tolist()
    assert said["model_version"].tolist() == night["model_version"].tolist()
    for column in ("distance", "next_distance"):
        np.testing.assert_allclose(said[column], night[column], **SAME)


def test_segments_from_features(client: httpx.Client, shop: Settings) -> None:
    features, night = read(shop, "customer_features", "customer_id"), read(shop, "customer_segments", "customer_id")
    rows = [{"features": present(row)} for row in features[list(FEATURE_COLUMNS)].to_dict("records")]
    same_segments(asked(client, "/segments", rows), night)


def test_segments_from_invoice_lines(client: httpx.Client, shop: Settings) -> None:
    night = read(shop, "customer_segments", "customer_id")
    lines = Lake(shop).read("transactions").to_pandas()
    columns = ["invoice", "stock_code", "quantity", "unit_price", "invoiced_at", "country"]
    lines["invoiced_at"] = lines["invoiced_at"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    of = {customer: rows[columns].to_dict("records") for customer, rows in lines.groupby("customer_id")}
    rows = [
        {"lines": [present(line) for line in of[customer]], "as_of": AS_OF.isoformat()}
        for customer in night["customer_id"]
    ]
    same_segments(asked(client, "/segments", rows), night)


STORES = date(2024, 7, 2)


def forecasts(shop: Settings) -> pd.DataFrame:
    rows: pd.DataFrame = Lake(shop).read("store_forecasts", where={"made_on": [STORES]}).to_pandas()
    return rows.sort_values(["store", "day"], ignore_index=True)


def same_forecasts(answers: list[dict[str, Any]], night: pd.DataFrame) -> None:
    said = pd.DataFrame(answers)
    for column in ("mean", "low_80", "high_80", "low_95", "high_95"):
        np.testing.assert_allclose(said[column], night[column], **SAME)
    for column in ("open", "model_version"):
        assert said[column].tolist() == night[column].tolist()


def test_store_sales_as_planned(client: httpx.Client, shop: Settings) -> None:
    night = forecasts(shop)
    assert not night["open"].all()
    rows = [{"store": store, "day": str(day)} for store, day in zip(night["store"], night["day"], strict=True)]
    same_forecasts(asked(client, "/predict", rows), night)
    # The order of rows is nobody's business, nor how many requests they come in.
    same_forecasts(asked(client, "/predict", rows[::-1])[::-1], night)
    few = list(range(0, len(rows), 37))
    same_forecasts([asked(client, "/predict", [rows[n]])[0] for n in few], night.iloc[few])


def test_store_sales_where_the_request_repeats_the_plan(client: httpx.Client, shop: Settings) -> None:
    night = forecasts(shop)
    plan = Lake(shop).read("store_plans").to_pandas().merge(night[["store", "day"]], on=["store", "day"])
    plan = plan.sort_values(["store", "day"], ignore_index=True)
    columns = ["store", "open", "promo", "state_holiday", "school_holiday"]
    rows = [row | {"day": str(day)} for row, day in zip(plan[columns].to_dict("records"), plan["day"], strict=True)]
    same_forecasts(asked(client, "/predict", rows), night)


def test_plans_of_requests_that_are_answered_together_do_not_mix(client: httpx.Client, shop: Settings) -> None:
    night = forecasts(shop)
    of_one = night[(night["store"] == 1) & night["open"]].head(10)
    plain = [{"store": 1, "day": str(day)} for day in of_one["day"]]
    other = [row | {"promo": True} for row in plain]
    alone = {name: asked(client, "/predict", rows) for name, rows in (("plain", plain), ("other", other))}
    assert alone["plain"] != alone["other"]
    with ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda n: asked(client, "/predict", other if n % 2 else plain), range(40)))
    for n, answers in enumerate(many):
        assert answers == alone["other" if n % 2 else "plain"]


def test_stores_and_days_that_cannot_be_known_are_refused_row_by_row(client: httpx.Client) -> None:
    good = {"store": 1, "day": "2024-07-03"}
    rows = [
        good,
        {"store": 999, "day": "2024-07-03"},
        {"store": 1, "day": "2024-07-01"},
        {"store": 1, "day": "2024-08-13"},
        good | {"promo": True},
        {"store": 2, "day": "2024-07-04", "open": False},
    ]
    said = asked(client, "/predict", rows)
    assert said[0]["mean"] > 0
    assert "store" in said[1]["error"]["what"]
    assert said[2]["error"]["allowed"] == said[3]["error"]["allowed"] == "42 days from 2024-07-02 on"
    assert "twice" in said[4]["error"]["what"]
    assert (said[5]["mean"], said[5]["open"]) == (0, False)
    assert all(one["error"]["todo"] for one in said if "error" in one)


def test_ten_thousand_rows_are_one_request(client: httpx.Client, shop: Settings) -> None:
    night = forecasts(shop)
    rows = [{"store": store, "day": str(day)} for store, day in zip(night["store"], night["day"], strict=True)]
    many = (rows * 20)[:10_000]
    said = asked(client, "/predict", many)
    same_forecasts(said[: len(rows)], night)
    assert all("twice" in one["error"]["what"] for one in said[len(rows) :])


def test_footfall(client: httpx.Client, shop: Settings) -> None:
    night = read(shop, "footfall_predictions", "number")
    said = pd.DataFrame(asked(client, "/footfall", [{"visitors": visitors} for visitors in night["visitors"]]))
    for column, of_the_night in (("buyers", "predicted"), ("low", "low"), ("high", "high")):
        np.testing.assert_allclose(said[column], night[of_the_night], **SAME)


@pytest.fixture(scope="module")
def shoppers(shop: Settings) -> pd.DataFrame:
    return read(shop, "shopper_features", "person")


def same_purchases(answers: list[dict[str, Any]], night: pd.DataFrame) -> None:
    said = pd.DataFrame(answers)
    assert said["likely_brand"].tolist() == night["likely_brand"].tolist()
    for column, of_the_night in (("purchase_probability", "purchase_probability"), ("units", "units")):
        np.testing.assert_allclose(said[column], night[of_the_night], **SAME)
    for answer, share in zip(answers, night["likely_brand_share"], strict=True):
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
    same_purchases(asked(client, "/shoppers/purchase", rows), read(shop, "shopper_scores", "person"))


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
    same_purchases(asked(client, "/shoppers/purchase", rows), read(shop, "shopper_scores", "person"))


def test_elasticities_are_what_a_higher_price_does(client: httpx.Client, examples: dict[str, dict[str, Any]]) -> None:
    row = examples["/shoppers/purchase"]["rows"][0]
    (brand, price), *_ = row["prices"].items()
    dearer = row | {"prices": row["prices"] | {brand: price * 1.01}}
    before, after = asked(client, "/shoppers/purchase", [row, dearer])

    def units(said: dict[str, Any]) -> float:
        one = said["brands"][brand]
        return float(said["purchase_probability"] * one["probability"] * one["units"])

    moved = np.log(units(after) / units(before)) / np.log(1.01)
    assert before["brands"][brand]["elasticity"]["total"] == pytest.approx(moved, rel=1e-6)


def test_rows_that_cannot_be_answered_do_not_stop_the_others(client: httpx.Client) -> None:
    line = {
        "invoice": "1",
        "stock_code": "22222",
        "quantity": 2,
        "unit_price": 2.5,
        "invoiced_at": "2025-03-03T10:00:00",
    }
    later = (AS_OF - timedelta(days=1)).isoformat()
    first, second, third = asked(
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
