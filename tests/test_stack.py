"""The stack: what is locked is what was asked for, and it imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements", "requirements-dev", "requirements-serving", "requirements-torch", "requirements-study")

# Sets that the resolver was content with have failed to import: so all that the pipeline uses is imported, and the
# pair that has broken before (Ibis on DuckDB) does a round trip.
PROGRAM = """
import airflow.sdk
import deltalake, duckdb, evidently, fastapi, fastapi_offline, gcsfs, great_expectations, httpx, ibis, jinja2, limits
import mlflow, numpy, pandas, prometheus_client, pythonjsonlogger, uvicorn
import plotly.graph_objects, psutil, pyarrow, pydantic_settings, python_calamine, rich, scipy, skops.io, sklearn.cluster
import threadpoolctl, typer, upath, yaml
from evidently import Report
from evidently.presets import DataDriftPreset
from google.cloud import storage
from mlflow.tracking import MlflowClient

con = ibis.duckdb.connect()
t = con.create_table("t", ibis.memtable({"a": [1, 2, 2]}))
con.create_view("v", t.group_by("a").agg(n=t.count()))
assert con.table("v").order_by("a").to_pyarrow().to_pylist() == [{"a": 1, "n": 1}, {"a": 2, "n": 2}]
con.drop_view("v")
print("imported")
"""


def test_the_stack_imports_in_a_fresh_interpreter() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=180)
    assert done.stdout.endswith("imported\n"), done.stderr[-2000:]


def asked(file: Path) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def locked(file: Path) -> dict[str, list[tuple[Requirement, int]]]:
    """Each pin of a lock file with the number of its hashes, by name."""
    pins: dict[str, list[tuple[Requirement, int]]] = {}
    for entry in re.split(r"\n(?=\S)", file.read_text().replace("\\\n", " ")):
        text = entry.split("#")[0].strip()
        if text and not text.startswith("-"):
            requirement = Requirement(text.split(" --hash")[0].strip())
            pins.setdefault(canonicalize_name(requirement.name), []).append((requirement, text.count("--hash=sha256:")))
    return pins


def applies(pin: Requirement) -> bool:
    return pin.marker is None or pin.marker.evaluate()


@pytest.mark.parametrize(("name", "package"), [("torch", "torch"), ("study", "umap-learn")])
def test_the_extra_takes_what_is_locked(name: str, package: str) -> None:
    import tomllib

    (extra,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][name]
    for pin, _ in locked(ROOT / f"requirements-{name}.txt")[package]:
        (version,) = pin.specifier
        assert Requirement(extra).specifier.contains(version.version)


@pytest.mark.parametrize("name", LOCKS)
def test_what_is_locked_is_what_was_asked_for(name: str) -> None:
    pins = locked(ROOT / f"{name}.txt")
    wanted = [requirement for requirement in asked(ROOT / f"{name}.in") if applies(requirement)]
    assert wanted
    for requirement in wanted:
        found = [
            pin
            for pin in pins.get(canonicalize_name(requirement.name), [])
            if not pin[0].marker or pin[0].marker.evaluate()
        ]
        assert len(found) == 1, f"{requirement} is not in {name}.txt: make lock"
        (version,) = found[0][0].specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(Version(version.version)), (
            f"{found[0][0]} is not {requirement}: make lock"
        )


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_is_exact_and_has_hashes(name: str) -> None:
    for pins in locked(ROOT / f"{name}.txt").values():
        for requirement, hashes in pins:
            assert [s.operator for s in requirement.specifier] == ["=="], requirement
            assert hashes, requirement


@pytest.mark.parametrize("name", LOCKS[1:])
def test_what_comes_on_top_uses_the_pipelines_versions(name: str) -> None:
    pipeline, checks = (locked(ROOT / f"{of}.txt") for of in (LOCKS[0], name))
    for package in set(pipeline) & set(checks):
        versions = [{str(requirement.specifier) for requirement, _ in pins[package]} for pins in (pipeline, checks)]
        assert versions[1] <= versions[0], package


def test_the_lock_names_no_index_of_its_own() -> None:
    for name in LOCKS:
        assert "index-url" not in (ROOT / f"{name}.txt").read_text()
