"""Modules that are imported once, before tasks are forked: no thread is started, and the libraries work in the fork."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FORK = """
import json, os, sys
from pipeline.preload import import_task_modules

os.environ["OPENBLAS_NUM_THREADS"] = "3"
failed = import_task_modules(["no.such.module"])
threads, variables = len(os.listdir("/proc/self/task")), dict(os.environ)
if os.fork() == 0:
    loaded = set(sys.modules)
    print(json.dumps({
        "failed": failed,
        "threads": threads,
        "blas": variables.get("OPENBLAS_NUM_THREADS"),
        "arrow": variables.get("JE_ARROW_MALLOC_CONF"),
        "loaded": sorted(loaded & {"evidently", "great_expectations", "lightgbm", "mlflow", "skops", "duckdb"}),
        "steps": "pipeline.stores.steps" in loaded,
    }), flush=True)
    os._exit(0)
os.wait()
"""


@pytest.fixture(scope="module")
def fork() -> dict[str, object]:
    """What a fork finds of the modules that its parent has imported."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_fork_finds_the_modules(fork: dict[str, object]) -> None:
    assert fork["loaded"] == ["evidently", "great_expectations", "lightgbm", "mlflow", "skops"]
    assert fork["steps"] is True


def test_no_thread_is_started(fork: dict[str, object]) -> None:
    """DuckDB would start one."""
    assert fork["threads"] == 1


def test_the_environment_is_as_before(fork: dict[str, object]) -> None:
    assert (fork["blas"], fork["arrow"]) == ("3", None)


def test_a_module_that_cannot_be_imported_is_named_and_the_others_are_imported(fork: dict[str, object]) -> None:
    assert fork["failed"] == ["""no.such.module: ModuleNotFoundError("No module named 'no'")"""]
