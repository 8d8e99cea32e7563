"""What is seen of a request from outside: metrics, a line in the log, a time limit."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pythonjsonlogger.json import JsonFormatter

from pipeline.endpoints import Predictions
from pipeline.footfall.endpoint import ENDPOINT, FootfallPredictor, FootfallRow
from pipeline.registry.records import Loaded
from pipeline.serving.logs import CONFIG
from pipeline.settings import Settings
from tests.serving.conftest import bearer, ready, running


class Moody(FootfallPredictor):
    """Slow with 1 visitor, fails with 2; otherwise as always."""

    def __init__(self, loaded: Mapping[str, Loaded], settings: Settings) -> None:
        super().__init__(loaded, settings)

    def predict(self, requests: Sequence[Sequence[FootfallRow]]) -> Predictions:
        asked = {row.visitors for rows in requests for row in rows}
        if 1 in asked:
            time.sleep(1)
        if 2 in asked:
            raise ValueError("it holds a secret")
        return super().predict(requests)


def sample(client: httpx.Client, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return 0.0


def test_requests_are_counted_by_route_and_never_by_address(client: httpx.Client) -> None:
    route = {"route": "/footfall", "method": "POST"}
    before = sample(client, "aisle_requests_total", **route, status="200")
    rows = sample(client, "aisle_rows_total", model="footfall", role="champion")
    client.post("/footfall", json={"rows": [{"visitors": 5}] * 7})
    assert sample(client, "aisle_requests_total", **route, status="200") == before + 1
    assert sample(client, "aisle_rows_total", model="footfall", role="champion") == rows + 7
    assert sample(client, "aisle_request_seconds_count", route="/footfall") >= before + 1
    for n in range(5):
        client.get(f"/nothing/{n}")
        client.request(f"VERB{n}", "/model")
    text = client.get("/metrics").text
    assert "/nothing" not in text
    assert "VERB" not in text
    assert sample(client, "aisle_model_version", model="footfall_buyers") == 1
    assert sample(client, "aisle_model_age_days", model="footfall_buyers") > 0
    assert sample(client, "aisle_reloads_total", model="footfall", outcome="loaded") == 1


@pytest.fixture(scope="module")
def moody(shop: Settings) -> Any:
    settings = shop.model_copy(update={"serve_timeout_seconds": 0.3, "serve_models": frozenset({"footfall"})})
    with running(settings, endpoints=(replace(ENDPOINT, build=Moody),)) as client:
        yield ready(client)


def test_a_request_may_not_take_for_ever(moody: httpx.Client) -> None:
    answer = moody.post("/footfall", json={"rows": [{"visitors": 1}]})
    assert answer.status_code == 503
    assert answer.json()["allowed"] == "0.3 seconds"
    time.sleep(1)
    assert moody.post("/footfall", json={"rows": [{"visitors": 3}]}).status_code == 200


def test_a_body_that_never_ends_is_not_waited_for(moody: httpx.Client) -> None:
    def trickle() -> Any:
        for _ in range(20):
            time.sleep(0.1)
            yield b" "

    answer = moody.post("/footfall", content=trickle(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 503


def test_what_fails_inside_tells_nothing_outside(moody: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    answer = moody.post("/footfall", json={"rows": [{"visitors": 2}]}, headers={"X-Request-ID": "failing"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == "failing"
    failures = [record for record in caplog.records if record.message == "a request failed"]
    assert [record.request_id for record in failures] == ["failing"]  # type: ignore[attr-defined]


def test_a_line_a_request_without_payload_or_key(guarded: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline.serving.access")
    body = {"rows": [{"visitors": 4711}]}
    guarded.post("/footfall?token=hidden", json=body, headers=bearer("till") | {"X-Request-ID": "r-1"})
    guarded.get("/health/live")  # The line comes after the answer, but before the next one.
    (line,) = (record for record in caplog.records if getattr(record, "request_id", "") == "r-1")
    formatter = CONFIG["formatters"]["json"]
    told = json.loads(JsonFormatter(formatter["fmt"], rename_fields=formatter["rename_fields"]).format(line))
    assert {name: told[name] for name in ("level", "route", "status", "key", "method", "request_id")} == {
        "level": "INFO",
        "route": "/footfall",
        "status": 200,
        "key": "till",
        "method": "POST",
        "request_id": "r-1",
    }
    assert told["milliseconds"] > 0
    assert "4711" not in json.dumps(told)
    assert "hidden" not in json.dumps(told)
