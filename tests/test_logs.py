"""Log lines: at the start and end of a step, for a decision, and one line each."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.logs import log_event, log_step, set_level

ROOT = Path(__file__).resolve().parents[1]
log = logging.getLogger("pipeline.test_logs")


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("INFO", "pipeline"):
        yield


def test_a_step_has_a_line_at_its_start_and_one_at_its_end_with_its_results(caplog: pytest.LogCaptureFixture) -> None:
    with log_step(log, "commit", table="stores", day="2025-03-03") as results:
        results["rows"] = 12
    start, end = caplog.records
    assert start.message == "commit started table=stores day=2025-03-03"
    assert end.message.startswith("commit finished table=stores day=2025-03-03 rows=12 seconds=")
    assert (start.levelname, end.levelname) == ("INFO", "INFO")


def test_a_step_that_fails_has_a_line_with_the_kind_of_error_alone(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="customer 4711"), log_step(log, "check", table="stores"):
        raise ValueError("customer 4711 has no name")
    end = caplog.records[-1]
    assert (end.levelname, end.message.split(" seconds=")[0]) == (
        "ERROR",
        "check failed table=stores error=ValueError",
    )
    assert "4711" not in caplog.text


def test_a_decision_is_one_line_and_its_fields_travel_on_the_record(caplog: pytest.LogCaptureFixture) -> None:
    log_event(log, "delivery refused", reason="3 rows,\nof 'x'", day=None, rows=3)
    (record,) = caplog.records
    assert record.message == "delivery refused reason=\"3 rows,\\nof 'x'\" rows=3"
    assert record.fields == {"reason": "3 rows,\nof 'x'", "rows": 3}  # type: ignore[attr-defined]
    assert record.event == "delivery refused"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("plain", "plain"), ("", "''"), ("a=b", "'a=b'"), ("a\tb", "'a\\tb'"), (3, "3"), (0.5, "0.5")],
)
def test_a_value_is_quoted_where_it_would_not_be_one_word(
    caplog: pytest.LogCaptureFixture, value: object, shown: str
) -> None:
    log_event(log, "seen", value=value)
    assert caplog.messages == [f"seen value={shown}"]


def test_the_level_holds_for_the_library_and_the_dags(caplog: pytest.LogCaptureFixture) -> None:
    before = {name: logging.getLogger(name).level for name in ("pipeline", "aisle_dags")}
    try:
        set_level("ERROR")
        log_event(log, "seen")
        log_event(logging.getLogger("aisle_dags.tasks"), "seen", logging.WARNING)
        assert caplog.messages == []
        log_event(log, "broken", logging.ERROR)
        assert caplog.messages == ["broken"]
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def test_the_library_alone_prints_nothing() -> None:
    code = "import logging; from pipeline.logs import log_event; log_event(logging.getLogger('pipeline.x'), 'a', 40)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
