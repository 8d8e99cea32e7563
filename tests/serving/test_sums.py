"""`sum_over`: the service sums forecasts as the night and the page do, and refuses what it cannot sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
import pytest

from pipeline.lake.tables import Lake
from pipeline.stores.domain import SUMS_TABLE
from pipeline.stores.endpoint import SumOver
from pipeline.stores.sums import ENDS, KINDS
from tests.serving.helpers import SAME, store_forecasts
from tests.stores.simulated import AS_OF

if TYPE_CHECKING:
    import httpx

    from pipeline.settings import Settings


def ask(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/predict", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_is_summed_as_in_the_table_of_the_night(client: httpx.Client, shop: Settings, kind: str) -> None:
    written = Lake(shop).read(SUMS_TABLE, where={"as_of": [AS_OF]}).to_pandas()
    batch = written[written["kind"] == kind].drop(columns=["kind", "as_of"]).sort_values([*KINDS[kind], "sum"])
    answer = ask(client, {"sum_over": kind})
    assert answer["answers"] == []
    online = pd.DataFrame(answer["sums"])
    assert set(online) == set(batch)
    for column in ("sum", *ENDS):
        np.testing.assert_allclose(online[column], batch[column], **SAME)
    for column in (*KINDS[kind], "store_days", "model_version"):
        assert online[column].tolist() == batch[column].tolist()
    assert online["first"].tolist() == batch["first"].astype(str).tolist()


def test_the_kinds_of_the_service_are_those_of_the_night() -> None:
    assert set(get_args(SumOver)) == set(KINDS)


def test_the_rows_of_a_request_are_summed_with_their_own_plan(client: httpx.Client, shop: Settings) -> None:
    batch = store_forecasts(shop)
    rows = [{"store": store, "day": str(day)} for store, day in zip(batch["store"], batch["day"], strict=True)]
    whole = ask(client, {"rows": rows, "sum_over": "store"})
    planned = ask(client, {"sum_over": "store"})["sums"]
    pd.testing.assert_frame_equal(pd.DataFrame(whole["sums"]), pd.DataFrame(planned))
    of_one = [row for row in rows if row["store"] == 1]
    (plain,) = ask(client, {"rows": of_one, "sum_over": "store"})["sums"]
    pd.testing.assert_frame_equal(pd.DataFrame([plain]), pd.DataFrame(whole["sums"][:1]))
    promoted = ask(client, {"rows": [row | {"promo": True} for row in of_one], "sum_over": "store"})
    assert promoted["sums"][0]["sum"] == pytest.approx(sum(answer["mean"] for answer in promoted["answers"]))
    assert promoted["sums"][0]["sum"] > plain["sum"]
    assert "sums" not in ask(client, {"rows": of_one})


def test_the_interval_of_a_sum_is_no_sum_of_intervals(client: httpx.Client, shop: Settings) -> None:
    batch = store_forecasts(shop)
    (chain,) = ask(client, {"sum_over": "chain"})["sums"]
    assert chain["sum"] == pytest.approx(batch["mean"].sum())
    assert chain["store_days"] == batch["open"].sum()
    assert batch["low_80"].sum() < chain["low_80"] < chain["sum"] < chain["high_80"] < batch["high_80"].sum()


def test_what_cannot_be_summed_is_refused(client: httpx.Client) -> None:
    good, unknown = {"store": 1, "day": "2024-07-03"}, {"store": 999, "day": "2024-07-03"}
    found = ask(client, {"rows": [good, unknown], "sum_over": "chain"})
    assert found["answers"][0]["mean"] > 0
    assert "rows.1" in found["sums"][0]["error"]["observed"]
    (closed,) = ask(client, {"rows": [good | {"open": False}], "sum_over": "chain"})["sums"]
    assert "No day is open" in closed["error"]["what"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "at least one row"),
        ({"rows": []}, "at least one row"),
        ({"rows": [], "sum_over": None}, "at least one row"),
        ({"sum_over": "country"}, "'chain', 'chain_week', 'state'"),
        ({"sum_over": ["chain"]}, "sum_over"),
        ({"rows": [{"store": 1, "day": "2024-07-03"}] * 10_001, "sum_over": "chain"}, "10000"),
    ],
)
def test_a_request_that_asks_for_nothing_or_for_other_sums_is_refused(
    client: httpx.Client, body: dict[str, Any], reason: str
) -> None:
    response = client.post("/predict", json=body)
    assert response.status_code == 422
    assert reason in response.text


def test_sums_are_offered_where_they_can_be_formed_alone(client: httpx.Client) -> None:
    response = client.post("/footfall", json={"rows": [{"visitors": 10}], "sum_over": "chain"})
    assert response.status_code == 422
    described = client.get("/openapi.json").json()["components"]["schemas"]
    offering = [name for name, schema in described.items() if "sum_over" in schema.get("properties", {})]
    assert len(offering) == 1
