"""What reading a DAG file imports: Airflow reads them all day long, so nothing slow may be among it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"
ALLOWED = {"aisle_dags", "airflow", "pipeline", "asgiref", "cron_descriptor", "croniter", "pydantic"}
"""Packages that reading a DAG file may import, beyond the standard library and what `import airflow.sdk` imports. The
last four are of Airflow's timetables and operators."""
LIGHT = re.compile(r"pipeline\.(dates|domains|errors|logs|telemetry|training(\.spec)?|\w+\.(domain|candidates))")
"""The modules of `pipeline` that it may import: those that themselves import nothing slow. Packages are empty."""

PROBE = """
import json, sys
import airflow.sdk
from airflow.sdk import DAG, Param, dag, task
for file in sys.argv[1:]:
    before = set(sys.modules)
    names = {"__name__": "probe", "__doc__": "", "__file__": file}
    exec(compile(open(file, encoding="utf-8").read(), file, "exec"), names)
    print(json.dumps([file, sorted(set(sys.modules) - before)]))
"""


def imports(files: list[Path], folder: Path) -> dict[str, set[str]]:
    """Read DAG files in a fresh interpreter: the modules that each file is the first to import."""
    environment = {**os.environ, "AIRFLOW_HOME": str(folder), "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, DAGS)))}
    command = [sys.executable, "-c", PROBE, *map(str, files)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in answer.stdout.splitlines() if line.startswith("[")]
    return {Path(file).name: set(modules) for file, modules in lines}


def slow(modules: set[str]) -> list[str]:
    """The modules among some that a DAG file may not import."""
    packages = {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names) - ALLOWED
    own = {name for name in modules if name.startswith("pipeline.") and name.count(".") > 1}
    return sorted(packages | {name for name in own if not LIGHT.fullmatch(name)})


def test_reading_the_files_imports_nothing_slow(tmp_path: Path) -> None:
    files = sorted(DAGS.glob("*.py"))
    found = imports(files, tmp_path)
    assert set(found) == {file.name for file in files}
    faults = {name: slow(modules) for name, modules in found.items() if slow(modules)}
    assert not faults, f"move these imports into the tasks: {faults}"


def test_a_slow_import_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text("import pandas\nimport pipeline.ingestion.steps\n", encoding="utf-8")
    assert {"pandas", "pipeline.ingestion.steps"} <= set(slow(imports([file], tmp_path)["slow.py"]))
