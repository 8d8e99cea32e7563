"""Settings: from the environment, typed, absolute, and with every fault named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

import pipeline
from pipeline.errors import UsageError
from pipeline.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("AISLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_local_folders_are_absolute_and_buckets_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISLE_DATA", "drops")
    settings = load_settings(home="gs://shop/aisle")
    assert settings.home == "gs://shop/aisle"
    assert settings.data == str(tmp_path / "drops")
    assert load_settings(sources=Path("mine.yaml")).sources == tmp_path / "mine.yaml"
    assert load_settings().home == str(tmp_path / ".aisle")


def test_the_mapping_and_the_suites_are_those_of_the_working_directory_else_the_packages(tmp_path: Path) -> None:
    package = Path(pipeline.__path__[0])
    assert load_settings().sources == package / "defaults" / "sources.yaml"
    assert load_settings().expectations == package / "defaults" / "expectations"
    (tmp_path / "sources.yaml").touch()
    (tmp_path / "expectations").mkdir()
    assert load_settings().sources == tmp_path / "sources.yaml"
    assert load_settings().expectations == tmp_path / "expectations"


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISLE_THREADS", "3")
    assert load_settings().threads == 3
    assert load_settings(threads=1).threads == 1


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load_settings().seed = 8


def test_every_fault_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("THREADS", "none"), ("MEMORY_LIMIT", "lots"), ("WINDOW_DAYS", "0")):
        monkeypatch.setenv(f"AISLE_{name}", value)
    with pytest.raises(UsageError) as error:
        load_settings()
    for part in ("AISLE_THREADS", "'none'", "AISLE_MEMORY_LIMIT", "'lots'", "AISLE_WINDOW_DAYS", "'0'"):
        assert part in str(error.value)


@pytest.mark.parametrize("value", ["{secret", '{"key": {"secret": 1}}'])
def test_storage_options_that_are_wrong_are_not_repeated(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AISLE_STORAGE_OPTIONS", value)
    with pytest.raises(UsageError) as error:
        load_settings()
    assert "storage_options" in str(error.value).lower()
    assert "secret" not in str(error.value).split("allowed:")[0]


def test_mlflow_is_below_a_local_home_or_where_it_is_said(tmp_path: Path) -> None:
    assert load_settings().mlflow_uri == f"sqlite:///{tmp_path}/.aisle/mlflow.db"
    assert load_settings(tracking_uri="http://mlflow:5000").mlflow_uri == "http://mlflow:5000"
    assert load_settings(home="gs://shop/aisle").artifacts_uri == "gs://shop/aisle/mlflow-artifacts"
    with pytest.raises(UsageError, match="AISLE_TRACKING_URI"):
        _ = load_settings(home="gs://shop/aisle").mlflow_uri


@pytest.mark.parametrize(
    ("home", "what"), [("s3://bucket/home", "pip install s3fs=="), ("nothing://home", "no kind of address")]
)
def test_a_home_that_nothing_reaches_is_an_error(home: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        _ = Settings(home=home).home_path
    assert Settings(home="memory://home").home_path.protocol == "memory"
