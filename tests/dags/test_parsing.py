"""What it costs to read a DAG file: Airflow does it all day long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"
HEAVY = (
    "pandas", "mlflow", "evidently", "great_expectations", "sklearn", "torch", "lightgbm", "ibis", "duckdb",
    "deltalake", "pyarrow", "plotly", "skops",
)  # fmt: skip
BOUND = 0.5
"""Seconds beyond `import airflow.sdk`."""

PROBE = """
import json, sys, time
import airflow.sdk
from airflow.sdk import DAG, Param, dag, task
started = time.perf_counter()
exec(compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec"), {"__name__": "probe", "__doc__": ""})
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "loaded": sorted(set(sys.argv[2:]) & set(sys.modules))}))
"""


def probe(file: Path, folder: Path) -> dict[str, object]:
    """Run a DAG file in a fresh interpreter: how long it took, and which of the heavy libraries it loaded."""
    environment = {**os.environ, "AIRFLOW_HOME": str(folder), "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, DAGS)))}
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, str(file), *HEAVY], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")), ids=lambda file: file.stem)
def test_parsing_is_quick_and_loads_nothing_heavy(file: Path, tmp_path: Path) -> None:
    seen = probe(file, tmp_path)
    assert seen["loaded"] == [], f"{file.name} imports {seen['loaded']} when parsed; move the import into the task"
    assert seen["seconds"] < BOUND, f"{file.name} took {seen['seconds']:.2f} s; import inside tasks what it needs there"


def test_a_heavy_import_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "heavy.py"
    file.write_text("import pandas\n", encoding="utf-8")
    assert "pandas" in probe(file, tmp_path)["loaded"]
