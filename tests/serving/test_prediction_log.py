"""The prediction log: predictions reach the lake, losses are counted, and requests do not wait for it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.endpoints import Answer, Predictions
from pipeline.footfall.endpoint import FootfallAnswer
from pipeline.lake.tables import Lake
from pipeline.serving.metrics import Metrics
from pipeline.serving.prediction_log import PREDICTIONS, Entry, PredictionLog
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS
from tests.serving.stub import PATH, stub_service

AT = datetime(2025, 5, 1, 23, 59, tzinfo=UTC)


def entry(rows: int, at: datetime = AT) -> Entry:
    answers: list[Answer] = [FootfallAnswer(buyers=n, low=0, high=9, model_version=3) for n in range(rows)]
    predictions = Predictions(answers, list(range(rows)), {"visitors": [10.0 * n for n in range(rows)]})
    return Entry(at, "footfall", "champion", {"footfall_buyers": 3}, [f"r{n}" for n in range(rows)], predictions)


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
    assert [row["request_id"] for row in rows] == ["r0", "r1", "r2", "r0", "r1"]
    assert [str(row["day"]) for row in rows] == ["2025-05-01"] * 3 + ["2025-05-02"] * 2
    assert json.loads(rows[2]["inputs"]) == {"visitors": 20.0}
    assert json.loads(rows[2]["output"])["buyers"] == 2
    assert json.loads(rows[2]["versions"]) == {"footfall_buyers": 3}
    assert value(metrics, "logged") == 5
    assert value(metrics, "dropped") == 0


def test_refused_rows_are_not_logged(empty: Settings) -> None:
    log, _ = prediction_log(empty)
    whole = entry(3)
    log.add(replace(whole, predictions=Predictions(whole.predictions.answers, [0, 2], {"visitors": [0.0, 20.0]})))
    log.flush()
    assert Lake(empty).read(PREDICTIONS)["request_id"].to_pylist() == ["r0", "r2"]


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
