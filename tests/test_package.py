"""The installed package works outside a checkout: the default mapping and the suites are part of the wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.contracts import CONTRACTS

ROOT = Path(__file__).resolve().parents[1]
DEFAULTS = "pipeline/defaults"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the package, built from a copy because setuptools writes into the folder it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "sources.yaml"):
        shutil.copy(ROOT / name, source)
    for name in ("pipeline", "expectations"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    # No environment: a wheel that is built where nothing may be downloaded.
    build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *build], check=True, capture_output=True
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_mapping_and_every_suite_as_they_are_in_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{DEFAULTS}/sources.yaml") == (ROOT / "sources.yaml").read_bytes()
        suites = {name for name in archive.namelist() if name.startswith(f"{DEFAULTS}/expectations/")}
        assert suites == {f"{DEFAULTS}/expectations/{table}.json" for table in CONTRACTS}
        for suite in suites:
            assert archive.read(suite) == (ROOT / "expectations" / Path(suite).name).read_bytes()


def test_a_checkout_has_them_too() -> None:
    assert (ROOT / DEFAULTS / "sources.yaml").resolve() == ROOT / "sources.yaml"
    assert (ROOT / DEFAULTS / "expectations").resolve() == ROOT / "expectations"


def test_it_ingests_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AISLE_")}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "ingest", "footfall", "--day", "2025-03-03", "--json"],
        cwd=elsewhere,
        env=environment | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '"clean": 1' in done.stdout
    assert (elsewhere / ".aisle").is_dir()
