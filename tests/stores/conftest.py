"""Fixtures of the stores' tests: an engine, and a simulated chain with a champion."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import pytest

from pipeline.domains import spec_of
from pipeline.settings import Settings
from pipeline.stores.domain import DOMAIN
from pipeline.training import lifecycle, scoring
from tests.helpers import made_once
from tests.stores import simulated
from tests.stores.simulated import LATER, MODEL, write_chain

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


@pytest.fixture
def con() -> Backend:
    return ibis.duckdb.connect(threads=2)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Settings:
    """A chain with a champion as of AS_OF, and its forecast of that morning."""

    def make(folder: Path) -> None:
        shutil.copy(empty_mlflow, folder / "mlflow.db")
        settings = Settings(home=str(folder), code_version="abc123")
        write_chain(settings, simulated.AS_OF)
        lifecycle.build_features(settings, DOMAIN, simulated.AS_OF)
        version = lifecycle.train(settings, spec_of(MODEL), simulated.AS_OF).version
        assert lifecycle.gate(settings, spec_of(MODEL), version).accepted
        lifecycle.promote(settings, MODEL, version, by="test")
        scoring.score(settings, DOMAIN, simulated.AS_OF)

    made = Settings(home=str(made_once(tmp_path_factory, "chain", make)), code_version="abc123")
    home = tmp_path_factory.mktemp("chain_copy") / "home"
    shutil.copytree(made.home, home)
    return made.model_copy(update={"home": str(home), "artifacts": made.artifacts_uri})


@pytest.fixture
def chain(trained: Settings, tmp_path: Path) -> Settings:
    """A chain of one's own, six weeks later."""
    shutil.copytree(trained.home, tmp_path / "home")
    settings = trained.model_copy(update={"home": str(tmp_path / "home"), "artifacts": trained.artifacts_uri})
    write_chain(settings, LATER)
    return settings
