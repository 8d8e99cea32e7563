"""Which of Airflow's processes import the modules of the tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
START = """
import sys
sys.argv = ["airflow", "scheduler"]
import airflow.settings
"airflow_local_settings" in sys.modules or airflow.settings.initialize()
import airflow_local_settings
print("imported" if "pipeline.preload" in sys.modules else "not imported", hasattr(airflow.settings, "forks_tasks"))
"""


@pytest.mark.parametrize(
    ("arguments", "executor", "expected"),
    [
        (["airflow", "scheduler"], "LocalExecutor", True),
        (["/venv/bin/airflow", "scheduler", "--skip-serve-logs"], "CeleryExecutor,LocalExecutor", True),
        (["airflow", "scheduler"], "CeleryExecutor", False),
        (["airflow", "celery", "worker", "--queues", "default"], "CeleryExecutor", True),
        (["airflow", "celery", "flower"], "CeleryExecutor", False),
        (["airflow", "api-server"], "LocalExecutor", False),
        (["airflow", "dag-processor"], "LocalExecutor", False),
        (["airflow"], "LocalExecutor", False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_tasks_are_forked_from_the_scheduler_or_from_a_worker(
    arguments: list[str], executor: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PROJECT / "plugins")
    from airflow_local_settings import forks_tasks

    assert forks_tasks(arguments, executor) is expected


@pytest.mark.parametrize("variable", ["AISLE_PRELOAD=false", "AISLE_THREADS=many"])
def test_a_scheduler_starts_without_them_if_they_are_not_wanted_or_a_setting_is_wrong(
    tmp_path: Path, variable: str
) -> None:
    """That they are imported otherwise is tested with a real scheduler, in tests/deploy."""
    name, value = variable.split("=")
    environment = os.environ | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        name: value,
    }
    done = subprocess.run(
        [sys.executable, "-c", START], env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "not imported False"
