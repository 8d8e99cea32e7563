"""What `step` makes of a function: outcomes of a task, and lines in its log."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

from aisle_dags import tasks
from pipeline.errors import RefusedError, UsageError
from pipeline.lake.tables import Lake
from pipeline.reports.page import write_page
from pipeline.settings import Settings


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A running task, and the loggers' levels as they were."""
    context = {
        "ti": SimpleNamespace(dag_id="night", task_id="land", run_id="run 1", log_url="https://airflow.example.org/run")
    }
    monkeypatch.setattr(tasks, "get_current_context", lambda: context)
    levels = {name: logging.getLogger(name).level for name in ("pipeline", "aisle_dags")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def raising(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return tasks.step(work)


def outcomes(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The level and the beginning of each line of the task."""
    return [(r.levelname, r.message.split(" dag=")[0]) for r in caplog.records if r.name == "aisle_dags.tasks"]


def test_a_task_logs_its_start_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    assert tasks.step(lambda rows: rows + 1)(1) == 2
    assert outcomes(caplog) == [("INFO", "task started"), ("INFO", "task finished")]
    assert "dag=night task=land run='run 1' seconds=" in caplog.messages[-1]


@pytest.mark.parametrize("error", [RefusedError("The gate said no"), UsageError("There is no such table")])
def test_a_refusal_or_a_wrong_setting_fails_the_task_without_a_retry(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    with pytest.raises(AirflowFailException, match=str(error)):
        raising(error)()
    assert outcomes(caplog)[-1] == ("ERROR", "task failed")


def test_any_other_error_is_left_to_the_retries(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError, match="the disk is full"):
        raising(OSError("the disk is full"))()
    assert outcomes(caplog)[-1] == ("ERROR", "task failed")


def test_a_skipped_task_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AirflowSkipException, match="nothing to do"):
        raising(tasks.skip("nothing to do"))()
    assert outcomes(caplog)[-1] == ("INFO", "task skipped")


def test_the_level_is_that_of_the_setting(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISLE_LOG_LEVEL", "ERROR")
    tasks.step(lambda: None)()
    assert outcomes(caplog) == []
    monkeypatch.setenv("AISLE_LOG_LEVEL", "LOUD")
    with pytest.raises(AirflowFailException, match="AISLE_LOG_LEVEL"):
        tasks.step(lambda: None)()


def test_warnings_of_deprecated_names_do_not_fill_the_log() -> None:
    def work() -> None:
        warnings.warn_explicit("a name is deprecated", FutureWarning, "_utils.py", 70, module="skops.io._utils")
        warnings.warn_explicit("of the library", FutureWarning, "steps.py", 70, module="pipeline.steps")

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        tasks.step(work)()
    assert [str(warning.message) for warning in seen] == ["of the library"]


def test_pages_that_a_task_writes_lead_to_it(tmp_path: Path) -> None:
    @tasks.step
    def work() -> str:
        return write_page(Lake(Settings(home=str(tmp_path))), "a", "T", "", [])

    assert 'href="https://airflow.example.org/run"' in (tmp_path / work()).read_text()
