"""Who may know what: kept by tests, so that the house stays as it was drawn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
HEAVY = (
    "mlflow",
    "evidently",
    "great_expectations",
    "sklearn",
    "lightgbm",
    "plotly",
    "pandas",
    "duckdb",
    "ibis",
)


def offenders(pattern: str, allowed: set[str]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in MODULES
        if file.relative_to(ROOT / "pipeline").as_posix() not in allowed
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(pattern, line)
    ]


def test_the_library_knows_nothing_of_airflow() -> None:
    found = offenders(r"^\s*(import|from) airflow\b", set())
    assert not found, "Airflow belongs into dags/: " + "; ".join(found)


def test_only_settings_and_telemetry_touch_the_environment() -> None:
    found = offenders(
        r"\bos\.(environ|getenv|putenv)\b|\bfrom os import .*(environ|getenv)", {"settings.py", "telemetry.py"}
    )
    assert not found, "make it a field of Settings: " + "; ".join(found)


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("great_expectations", {"ingestion/validation.py"}),
        ("evidently", {"monitoring/drift.py"}),
        ("deltalake", {"lake/tables.py"}),
    ],
)
def test_each_moving_library_is_known_by_one_module(library: str, home: set[str]) -> None:
    found = offenders(rf"^\s*(import|from) {library}\b", home)
    assert not found, f"only {', '.join(home)} knows {library}: " + "; ".join(found)


def test_contracts_on_imports_hold() -> None:
    script = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([script, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_the_command_line_starts_without_heavy_libraries() -> None:
    code = f"import sys, pipeline.cli.app; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]", "import it inside the command that needs it"
