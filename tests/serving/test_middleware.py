"""What every request gets: metrics, a log line, a time limit, and a response if it fails."""

from __future__ import annotations

import http.client
import json
import logging

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pythonjsonlogger.json import JsonFormatter

from pipeline.lake.tables import Lake
from pipeline.serving.log_config import log_config
from pipeline.serving.prediction_log import PREDICTIONS
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS, bearer, keys, until
from tests.serving.stub import FAILS, MODEL, PATH, REFUSED, WAITS, NumberPredictor, stub_service


def sample(client: httpx.Client, name: str, **labels: str) -> float:
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return 0.0


def test_requests_are_counted_by_route_and_not_by_address(empty: Settings) -> None:
    route = {"route": PATH, "method": "POST"}
    with stub_service(empty) as client:
        client.post(PATH, json={"rows": [{"number": 5}] * 7 + [{"number": REFUSED}]})
        assert sample(client, "aisle_requests_total", **route, status="200") == 1
        assert sample(client, "aisle_rows_total", model="numbers", role="champion") == 7
        assert sample(client, "aisle_rows_refused_total", model="numbers", role="champion") == 1
        assert sample(client, "aisle_request_seconds_count", route=PATH) == 1
        for n in range(5):
            client.get(f"/nothing/{n}")
            client.request(f"VERB{n}", "/model")
        text = client.get("/metrics").text
        assert "/nothing" not in text
        assert "VERB" not in text
        assert sample(client, "aisle_requests_running") == 1
        assert sample(client, "aisle_model_version", model=MODEL) == 1
        assert sample(client, "aisle_model_age_days", model=MODEL) > 0
        assert sample(client, "aisle_reloads_total", model="numbers", outcome="loaded") == 1


def test_requests_have_a_time_limit(empty: Settings) -> None:
    with stub_service(empty, serve_timeout_seconds=0.3) as client:
        answer = client.post(PATH, json={"rows": [{"number": WAITS}]})
        NumberPredictor.go.set()
        assert answer.status_code == 503
        assert answer.json()["allowed"] == "0.3 seconds"
        # On a busy machine even a good request may take longer than the limit.
        until(lambda: client.post(PATH, json={"rows": [{"number": 5}]}).status_code == 200)
        # The limit includes reading the body, of which one byte never comes.
        wire = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=HANG_SECONDS)
        wire.putrequest("POST", PATH)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", "2")):
            wire.putheader(name, value)
        wire.endheaders(b"{")
        assert wire.getresponse().status == 503
        wire.close()


def test_a_failure_is_logged_and_not_shown_to_the_client(empty: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with stub_service(empty) as client:
        answer = client.post(PATH, json={"rows": [{"number": FAILS}]}, headers={"X-Request-ID": "failing"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == "failing"
    failures = [record for record in caplog.records if record.message == "a request failed"]
    assert [record.request_id for record in failures] == ["failing"]  # type: ignore[attr-defined]


def test_a_refused_row_does_not_stop_the_others_and_is_not_logged(empty: Settings) -> None:
    with stub_service(empty) as client:
        first, second, third = client.post(PATH, json={"rows": [{"number": n} for n in (5, REFUSED, 6)]}).json()[
            "answers"
        ]
    assert (first["number"], third["number"]) == (105, 106)
    assert second["error"]["what"] == "This number is refused"
    logged = Lake(empty).read(PREDICTIONS).to_pylist()
    assert sorted(json.loads(row["inputs"])["number"] for row in logged) == [5, 6]


def test_a_request_is_logged_without_payload_or_key(empty: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline.serving.access")
    body = {"rows": [{"number": 4711}]}
    with stub_service(empty, api_keys=keys({"till": ("predict",)})) as client:
        client.post(f"{PATH}?token=hidden", json=body, headers=bearer("till") | {"X-Request-ID": "r-1"})
    # The service has ended, so the line, which is written after the answer, is there.
    (line,) = (record for record in caplog.records if getattr(record, "request_id", "") == "r-1")
    formatter = log_config("INFO")["formatters"]["json"]
    fields = json.loads(JsonFormatter(formatter["fmt"], rename_fields=formatter["rename_fields"]).format(line))
    assert {name: fields[name] for name in ("level", "route", "status", "key", "method", "request_id")} == {
        "level": "INFO",
        "route": PATH,
        "status": 200,
        "key": "till",
        "method": "POST",
        "request_id": "r-1",
    }
    assert fields["milliseconds"] > 0
    assert "4711" not in json.dumps(fields)
    assert "hidden" not in json.dumps(fields)
