"""`make up` opens what `make demo` left in a home."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.installation import PROJECT
from deploy.local.up import airflow_home, task_environment
from pipeline.settings import load_settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AISLE_SOURCES", raising=False)
    monkeypatch.setenv("AISLE_HOME", str(tmp_path))


def test_the_runs_and_sources_of_the_demo_are_opened(tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "airflow.db").touch()
    (tmp_path / "sources.yaml").touch()
    settings = load_settings()
    assert airflow_home(settings) == tmp_path / "airflow"
    assert task_environment(settings)["AISLE_SOURCES"] == str(tmp_path / "sources.yaml")


def test_without_a_demo_airflow_has_the_folder_of_the_project(tmp_path: Path) -> None:
    settings = load_settings()
    assert airflow_home(settings) == PROJECT / ".airflow"
    assert "AISLE_SOURCES" not in task_environment(settings)


def test_the_environment_wins_over_the_sources_of_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources.yaml").touch()
    monkeypatch.setenv("AISLE_SOURCES", "mine.yaml")
    monkeypatch.setenv("AISLE_THREADS", "1")
    variables = task_environment(load_settings())
    assert (variables["AISLE_SOURCES"], variables["AISLE_THREADS"]) == ("mine.yaml", "1")
    assert variables["AISLE_HOME"] == str(tmp_path)
