"""The structure of the code: which module may import what, and how long a module may be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
MAX_LINES = 300
EXCEPTIONS = re.compile(r"^\| `([\w/]+\.py)` \| (.+) \|$", re.MULTILINE)
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
        (
            "deltalake",
            {f"lake/{module}.py" for module in ("commits", "maintenance", "snapshots", "tables", "write_errors")},
        ),
    ],
)
def test_each_moving_library_is_known_by_few_modules(library: str, home: set[str]) -> None:
    found = offenders(rf"^\s*(import|from) {library}\b", home)
    assert not found, f"only {', '.join(home)} knows {library}: " + "; ".join(found)


def over_long(root: Path) -> set[str]:
    """The modules under `root` that have more than `MAX_LINES` lines."""
    folders = (root / name for name in ("pipeline", "dags", "deploy", "plugins"))
    files = (file for folder in folders for file in folder.rglob("*.py"))
    return {f.relative_to(root).as_posix() for f in files if len(f.read_text("utf-8").splitlines()) > MAX_LINES}


def test_a_module_is_short_or_named_with_its_reason_in_the_design_page() -> None:
    section = (ROOT / "docs" / "design.md").read_text(encoding="utf-8").split("## Modules over 300 lines")[1]
    named = {path for path, _ in EXCEPTIONS.findall(section)}
    assert over_long(ROOT) - named == set(), "split these modules, or give the reason in docs/design.md"


def test_a_module_that_is_too_long_is_found(tmp_path: Path) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "long.py").write_text("x = 1\n" * (MAX_LINES + 1), encoding="utf-8")
    (tmp_path / "dags" / "short.py").write_text("x = 1\n" * MAX_LINES, encoding="utf-8")
    assert over_long(tmp_path) == {"dags/long.py"}


def test_tests_share_helpers_by_helper_modules() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in (ROOT / "tests").rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(from|import) [\w.]*\b(conftest|test_\w+)\b", line)
    ]
    assert not found, "move what is shared to a helper module: " + "; ".join(found)


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
