"""What every request gets: metrics, a log line, a time limit, and a response if it fails."""

from __future__ import annotations

import http.client
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pythonjsonlogger.json import JsonFormatter

from pipeline.endpoints import Predictions
from pipeline.footfall.endpoint import ENDPOINT, FootfallPredictor, FootfallRow
from pipeline.serving.log_config import CONFIG
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS, bearer, ready, running, until


class FaultyPredictor(FootfallPredictor):
    """Waits for `go` with 1 visitor and fails with 2; otherwise predicts as usual."""

    go = threading.Event()

    def predict(self, requests: Sequence[Sequence[FootfallRow]]) -> Predictions:
        visitors = {row.visitors for rows in requests for row in rows}
        if 1 in visitors:
            self.go.wait(HANG_SECONDS)
        if 2 in visitors:
            raise ValueError("it holds a secret")
        return super().predict(requests)


def sample(client: httpx.Client, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return 0.0


def test_requests_are_counted_by_route_and_not_by_address(client: httpx.Client) -> None:
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


@contextmanager
def faulty(settings: Settings, **changes: Any) -> Iterator[httpx.Client]:
    """The service with a `FaultyPredictor`."""
    changes |= {"serve_models": frozenset({"footfall"})}
    with running(settings.model_copy(update=changes), endpoints=(replace(ENDPOINT, build=FaultyPredictor),)) as client:
        yield ready(client)


def test_requests_have_a_time_limit(shop: Settings) -> None:
    with faulty(shop, serve_timeout_seconds=0.3) as client:
        answer = client.post("/footfall", json={"rows": [{"visitors": 1}]})
        assert answer.status_code == 503
        assert answer.json()["allowed"] == "0.3 seconds"
        FaultyPredictor.go.set()
        # On a busy machine even a good request may take longer than the limit.
        until(lambda: client.post("/footfall", json={"rows": [{"visitors": 3}]}).status_code == 200)
        # The limit includes reading the body, of which one byte never comes.
        wire = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=HANG_SECONDS)
        wire.putrequest("POST", "/footfall")
        for name, value in (("Content-Type", "application/json"), ("Content-Length", "2")):
            wire.putheader(name, value)
        wire.endheaders(b"{")
        assert wire.getresponse().status == 503
        wire.close()


def test_a_failure_is_logged_and_not_shown_to_the_client(shop: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with faulty(shop) as client:
        answer = client.post("/footfall", json={"rows": [{"visitors": 2}]}, headers={"X-Request-ID": "failing"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == "failing"
    failures = [record for record in caplog.records if record.message == "a request failed"]
    assert [record.request_id for record in failures] == ["failing"]  # type: ignore[attr-defined]


def test_each_request_has_a_log_line_without_payload_or_key(
    guarded: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pipeline.serving.access")
    body = {"rows": [{"visitors": 4711}]}
    guarded.post("/footfall?token=hidden", json=body, headers=bearer("till") | {"X-Request-ID": "r-1"})
    guarded.get("/health/live")  # The line comes after the answer, but before the next one.
    (line,) = (record for record in caplog.records if getattr(record, "request_id", "") == "r-1")
    formatter = CONFIG["formatters"]["json"]
    line_fields = json.loads(JsonFormatter(formatter["fmt"], rename_fields=formatter["rename_fields"]).format(line))
    assert {name: line_fields[name] for name in ("level", "route", "status", "key", "method", "request_id")} == {
        "level": "INFO",
        "route": "/footfall",
        "status": 200,
        "key": "till",
        "method": "POST",
        "request_id": "r-1",
    }
    assert line_fields["milliseconds"] > 0
    assert "4711" not in json.dumps(line_fields)
    assert "hidden" not in json.dumps(line_fields)
