"""Fixtures that several test files share."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from multiprocessing.context import BaseContext
from pathlib import Path

import hypothesis
import pytest

from pipeline.settings import Settings
from tests.helpers import made_once
from tests.suites import without_share_limit
from tests.till import Till, a_till

# The same examples each time: a failure that comes and goes proves nothing.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.load_profile("fixed")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without models. To make one takes seconds, to copy it none."""
    from pipeline.registry.client import Registry

    def make(folder: Path) -> None:
        Registry(Settings(home=str(folder))).models()

    return made_once(tmp_path_factory, "mlflow", make) / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, empty_mlflow: Path) -> Settings:
    """Settings of an empty home whose model registry is ready."""
    (tmp_path / "home").mkdir()
    shutil.copy(empty_mlflow, tmp_path / "home" / "mlflow.db")
    return Settings(home=str(tmp_path / "home"), code_version="abc123")


@pytest.fixture
def till(tmp_path: Path) -> Till:
    """A shop with the real suite, except that any share of a delivery's rows may be rejected: tests write few rows."""
    return a_till(tmp_path, without_share_limit(tmp_path / "expectations"))


@pytest.fixture
def new_till(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Till]]:
    """Makes shops whose suite expects nothing, so that a property can be held against many of them."""
    suite = tmp_path_factory.mktemp("expectations")
    (suite / "transactions.json").write_text('{"meta": {"max_quarantined_share": 1}, "expectations": []}')
    made: list[Path] = []

    def new() -> Till:
        made.append(tmp_path_factory.mktemp("till"))
        return a_till(made[-1], suite)

    yield new
    for folder in made:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def processes() -> BaseContext:
    """Makes processes that begin at once: forked from a server that has imported, and done nothing else.

    What was used in this process (Delta's threads, DuckDB's) cannot be forked; a fresh interpreter imports for seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.ingestion.steps", "pipeline.ingestion.validation"])
    return context


@pytest.fixture(scope="session")
def open_data() -> Path:
    """The folder of the public data sets; what needs it is skipped where it is missing."""
    folder = Path(os.environ.get("AISLE_OPEN_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "online_retail.parquet").exists():
        pytest.skip(f"no open data in {folder}; name its folder by AISLE_OPEN_DATA")
    return folder
