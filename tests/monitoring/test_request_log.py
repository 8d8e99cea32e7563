"""Which rows of the prediction log are compared with the training of a version."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.lake.tables import Lake
from pipeline.monitoring.request_log import DAYS, PREDICTIONS, logged_inputs
from pipeline.registry.records import ModelVersion, Provenance
from pipeline.settings import Settings

MODEL, DAY = "footfall_buyers", date(2025, 5, 1)
PROVENANCE = Provenance(DAY, {}, ("visitors",), 7, "abc")
VERSION = ModelVersion(MODEL, 1, (), datetime(2025, 5, 1, tzinfo=UTC), PROVENANCE, {}, True, {})


def log(settings: Settings, visitors: float, day: date, role: str = "champion", **versions: int) -> None:
    """Write a prediction to the log."""
    row: dict[str, Any] = {
        "at": datetime.combine(day, datetime.min.time(), UTC),
        "day": day,
        "model": "footfall",
        "role": role,
        "versions": json.dumps(versions or {MODEL: 1}),
        "request_id": f"{visitors}",
        "inputs": json.dumps({"visitors": visitors}),
        "output": "{}",
    }
    types = {"at": pa.timestamp("us", tz="UTC"), "day": pa.date32()}
    columns = {name: pa.array([value], types.get(name)) for name, value in row.items()}
    Lake(settings).append(PREDICTIONS, pa.table(columns), partition=["day"])


def visitors_read(settings: Settings, sample: int = 100) -> list[float]:
    rows = logged_inputs(settings, VERSION, DAY, ["visitors"], sample)
    return sorted(rows["visitors"]) if len(rows) else []


def test_without_a_log_there_are_no_rows(home: Settings) -> None:
    assert visitors_read(home) == []


def test_only_what_the_version_answered_as_champion_counts(home: Settings) -> None:
    yesterday = DAY - timedelta(days=1)
    log(home, 1, yesterday)
    log(home, 2, yesterday, "shadow")
    log(home, 3, yesterday, "canary")
    log(home, 4, yesterday, **{MODEL: 11})
    log(home, 5, yesterday, other=1)
    log(home, 6, yesterday, **{MODEL: 1, "other": 2})
    assert visitors_read(home) == [1, 6]


def test_the_four_weeks_before_the_day_count(home: Settings) -> None:
    for number, days in enumerate((0, 1, DAYS, DAYS + 1)):
        log(home, number, DAY - timedelta(days=days))
    assert visitors_read(home) == [1, 2]


def test_the_sample_is_bounded_and_always_the_same(home: Settings) -> None:
    for number in range(6):
        log(home, number, DAY - timedelta(days=1))
    first = visitors_read(home, sample=3)
    assert len(first) == 3
    assert visitors_read(home, sample=3) == first
