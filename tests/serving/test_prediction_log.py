"""The prediction log: predictions reach the lake, losses are counted, and requests do not wait for it."""

from __future__ import annotations

import gc
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pipeline import domains
from pipeline.endpoints import Answer, EndpointSpec, Predictions
from pipeline.footfall.endpoint import FootfallAnswer
from pipeline.lake.tables import Lake
from pipeline.serving.metrics import Metrics
from pipeline.serving.prediction_log import (
    MAX_ROW_CHARACTERS,
    MAX_TEXT,
    PIECE_ROWS,
    PREDICTIONS,
    ROW_BYTES,
    Entry,
    PredictionLog,
    stored_id,
)
from pipeline.settings import Settings
from pipeline.shoppers.features import BY_BRAND, HISTORY
from pipeline.stores.endpoint import LOGGED
from tests.serving.helpers import HANG_SECONDS, until
from tests.serving.stub import PATH, stub_service

AT = datetime(2025, 5, 1, 23, 59, tzinfo=UTC)


def entry(rows: int, at: datetime = AT) -> Entry:
    answers: list[Answer] = [FootfallAnswer(buyers=n, low=0, high=9, model_version=3) for n in range(rows)]
    predictions = Predictions(answers, list(range(rows)), {"visitors": [10.0 * n for n in range(rows)]})
    return Entry(at, "footfall", "champion", {"footfall_buyers": 3}, [f"{n:032x}" for n in range(rows)], predictions)


def prediction_log(settings: Settings, max_rows: int = 100) -> tuple[PredictionLog, Metrics]:
    metrics = Metrics()
    return PredictionLog(Lake(settings), metrics, max_rows=max_rows, seconds=0.01), metrics


def value(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"aisle_predictions_{name}_total") or 0


def test_the_log_holds_inputs_outputs_and_versions(empty: Settings) -> None:
    log, metrics = prediction_log(empty)
    log.start()
    log.add(entry(3))
    log.add(entry(2, AT + timedelta(minutes=2)))
    log.stop()
    rows = sorted(Lake(empty).read(PREDICTIONS).to_pylist(), key=lambda row: (row["at"], row["request_id"]))
    assert [int(row["request_id"]) for row in rows] == [0, 1, 2, 0, 1]
    assert [str(row["day"]) for row in rows] == ["2025-05-01"] * 3 + ["2025-05-02"] * 2
    assert json.loads(rows[2]["inputs"]) == {"visitors": 20.0}
    assert json.loads(rows[2]["output"])["buyers"] == 2
    assert json.loads(rows[2]["versions"]) == {"footfall_buyers": 3}
    assert value(metrics, "logged") == 5
    assert value(metrics, "dropped") == 0


def test_what_is_personal_is_left_out_and_no_row_is_invalid_json(empty: Settings) -> None:
    log, metrics = prediction_log(empty)
    answers: list[Answer] = [FootfallAnswer(buyers=1, low=0, high=9, model_version=3)] * 3
    inputs: dict[str, list[Any]] = {
        "age": [41.0, 42.0, 43.0],
        "visitors": [float("nan"), float("inf"), 1.5],
        "text": ["x" * 1_000, None, "y"],
    }
    ids = ["john.doe", "0f8fad5b-d9cb-469f-a165-70867728950e", "john.doe"]
    predictions = Predictions(answers, [0, 1, 2], inputs)
    log.add(Entry(AT, "footfall", "champion", {"m": 3}, ids, predictions, personal=frozenset({"age"})))
    log.flush()
    rows = Lake(empty).read(PREDICTIONS).to_pylist()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert [json.loads(row["inputs"], parse_constant=refuse) for row in rows] == [
        {"visitors": None, "text": "x" * MAX_TEXT},
        {"visitors": None, "text": None},
        {"visitors": 1.5, "text": "y"},
    ]
    assert rows[0]["request_id"] == rows[2]["request_id"] == stored_id("john.doe")
    assert "john" not in str(rows)
    # The service's own, and what programs usually make, can be looked up.
    assert rows[1]["request_id"] == ids[1]
    assert value(metrics, "logged") == 3


def test_a_row_that_is_too_long_is_dropped_and_counted(empty: Settings) -> None:
    log, metrics = prediction_log(empty)
    whole = entry(2)
    wide = {f"column {n:05d}": [1.0, 1.0] for n in range(MAX_ROW_CHARACTERS // 15)}
    log.add(replace(whole, predictions=replace(whole.predictions, inputs=wide)))
    log.add(entry(1))
    log.flush()
    assert (value(metrics, "logged"), value(metrics, "dropped")) == (1, 2)


def test_the_buffer_is_bounded_in_bytes(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.serving.prediction_log.MAX_BYTES", 5 * (ROW_BYTES + 100))
    log, metrics = prediction_log(empty, max_rows=10**9)
    for _ in range(4):
        log.add(entry(2))
    assert value(metrics, "dropped") == 4
    log.flush()
    log.add(entry(2))
    log.flush()
    assert value(metrics, "logged") == 6


def test_the_buffer_is_written_in_batches(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.serving.prediction_log.PIECE_ROWS", 3)
    monkeypatch.setattr("pipeline.serving.prediction_log.BATCH_ROWS", 5)
    log, metrics = prediction_log(empty)
    for _ in range(4):
        log.add(entry(3))
    log.add(entry(1))
    log.flush()
    assert value(metrics, "logged") == 13
    assert Lake(empty).version(PREDICTIONS) == 3


def test_what_arrives_while_the_log_is_written_waits_for_the_next_time(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a busy service would write one small commit after the other."""
    log, metrics = prediction_log(empty)
    append = Lake.append

    def busy(lake: Lake, *arguments: Any, **others: Any) -> Any:
        log.add(entry(2))
        return append(lake, *arguments, **others)

    monkeypatch.setattr(Lake, "append", busy)
    log.add(entry(3))
    log.flush()
    assert value(metrics, "logged") == 3
    log.flush()
    assert (value(metrics, "logged"), Lake(empty).version(PREDICTIONS)) == (5, 1)


def test_a_lake_that_cannot_be_written_is_not_tried_again_with_every_request(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.serving.prediction_log.PIECE_ROWS", 10)
    monkeypatch.setattr("pipeline.serving.prediction_log.BATCH_ROWS", 20)
    woken = []
    monkeypatch.setattr(threading.Event, "set", lambda _: woken.append(1))
    log, _ = prediction_log(empty)
    for _ in range(50):
        log.add(entry(1))
    assert len(woken) == 4


def test_predictions_that_wait_are_nothing_for_the_garbage_collector(empty: Settings) -> None:
    """It pauses all requests while it walks the objects that it tracks."""
    log, _ = prediction_log(empty, max_rows=10**9)
    gc.collect()
    tracked = len(gc.get_objects())
    for _ in range(PIECE_ROWS * 4 - 1):
        log.add(entry(1))
    gc.collect()
    assert len(gc.get_objects()) - tracked < 100
    assert gc.is_tracked(log)


LOGGING = [spec for spec in domains.endpoints() if spec.name in ("segments", "store_sales", "purchase", "footfall")]
"""Endpoints whose inputs are features of a model."""


@pytest.mark.parametrize("spec", LOGGING, ids=lambda spec: spec.name)
def test_the_log_of_an_endpoint_has_known_columns_only(
    spec: EndpointSpec, client: httpx.Client, shop: Settings
) -> None:
    """Whatever a request holds: unknown brands, ids, and what is said of a person."""
    example = client.get("/openapi.json").json()["paths"][spec.path]["post"]["requestBody"]["content"]
    row = example["application/json"]["example"]["rows"][0]
    if spec.name == "purchase":
        state = {"age": 41, "income": 123456, "sex": 1, "last_brand": "John Doe", "brand_units": {"John Doe": 1}}
        row["state"] |= state
        row["promotions"] |= {"John Doe": True}
    sent = client.post(spec.path, json={"rows": [row]}, headers={"X-Request-ID": f"John-{spec.name}"})
    assert "error" not in sent.json()["answers"][0]
    log = until(lambda: _logged(shop, spec.name, stored_id(f"John-{spec.name}")))
    assert len(log) == 1
    assert "John" not in str(log)
    inputs = json.loads(log[0]["inputs"])
    assert inputs
    assert not {"age", "income", "sex", "marital_status", "education", "occupation", "settlement_size"} & set(inputs)
    features = {feature for name in spec.models for feature in client.get(f"/model/{name}").json()["features"]}
    known = {*features, *HISTORY, *LOGGED, "purchases", "units", "last_brand"}
    assert {name for name in inputs if name not in known and not name.startswith(tuple(BY_BRAND))} == set()


def test_who_asks_for_recommendations_is_not_logged(client: httpx.Client, shop: Settings) -> None:
    sent = {"rows": [{"customer": "somebody-special"}]}
    assert client.post("/recommendations", json=sent, headers={"X-Request-ID": "ask"}).status_code == 200
    (row,) = until(lambda: _logged(shop, "recommendations", stored_id("ask")))
    assert json.loads(row["inputs"]) == {"names_customer": 1.0, "basket_products": 0.0}
    assert "somebody" not in str(row)


def _logged(settings: Settings, model: str, request_id: str) -> list[dict[str, Any]]:
    if not Lake(settings).exists(PREDICTIONS):
        return []
    rows = Lake(settings).read(PREDICTIONS).to_pylist()
    return [row for row in rows if (row["model"], row["request_id"]) == (model, request_id)]


def test_refused_rows_are_not_logged(empty: Settings) -> None:
    log, metrics = prediction_log(empty)
    whole = entry(3)
    log.add(replace(whole, predictions=Predictions(whole.predictions.answers, [0, 2], {"visitors": [0.0, 20.0]})))
    log.flush()
    assert Lake(empty).read(PREDICTIONS)["request_id"].to_pylist() == [f"{n:032x}" for n in (0, 2)]
    assert (value(metrics, "logged"), value(metrics, "dropped")) == (2, 0)


def test_predictions_beyond_the_buffer_are_dropped_and_counted(empty: Settings) -> None:
    log, metrics = prediction_log(empty, max_rows=5)
    for rows in (3, 3, 2, 1):
        log.add(entry(rows))
    assert value(metrics, "dropped") == 4
    log.flush()
    assert value(metrics, "logged") == 5


def test_predictions_wait_in_the_buffer_while_the_lake_cannot_be_written(
    empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, metrics = prediction_log(empty, max_rows=5)

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "append", full)
        log.add(entry(4))
        log.flush()
        log.add(entry(4))
    assert value(metrics, "dropped") == 4
    log.flush()
    assert value(metrics, "logged") == 4


def test_requests_do_not_wait_for_the_log(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(Lake, "append", lambda *_, **__: free.wait(HANG_SECONDS))
    with stub_service(empty, serve_log_seconds=0.01, serve_log_rows=20) as client:
        for _ in range(30):
            assert client.post(PATH, json={"rows": [{"number": 10}]}).status_code == 200
        assert "aisle_predictions_dropped_total 10.0" in client.get("/metrics").text
        free.set()
