"""A small shop with trained champions, and the service over it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.domains import find_domain, spec_of
from pipeline.ingestion import steps as ingestion
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.training import lifecycle, scoring
from tests.helpers import made_once
from tests.serving.helpers import AS_OF, HANG_SECONDS, ROOT, START, TABLES, TRAINED, ready, running
from tests.stores import simulated


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Settings:
    """Four months of the simulated shop and a chain of stores, with champions trained and scored on them."""
    made = made_once(tmp_path_factory, "served", lambda folder: _train(shop_settings(folder), empty_mlflow))
    settings = shop_settings(made)
    # A copy, because the services of parallel workers log their requests in it.
    home = tmp_path_factory.mktemp("shop") / "home"
    shutil.copytree(settings.home, home)
    return settings.model_copy(update={"home": str(home), "artifacts": settings.artifacts_uri})


def shop_settings(folder: Path) -> Settings:
    """The settings of a shop in a folder."""
    return Settings(
        home=str(folder / "home"),
        sources=folder / "sources.yaml",
        expectations=ROOT / "expectations",
        code_version="abc123",
        serve_timeout_seconds=HANG_SECONDS,
        serve_log_seconds=0.5,
    )


def _train(settings: Settings, empty_mlflow: Path) -> None:
    """Ingest the data of the shop, train all champions and score with them."""
    settings.home_path.mkdir()
    shutil.copy(empty_mlflow, settings.home_path / "mlflow.db")
    text = (
        (ROOT / "sources.yaml")
        .read_text()
        .replace("customers=900", "customers=300")
        .replace("people=400", "people=150")
    )
    settings.sources.write_text(text)
    for table in TABLES:
        until = START + timedelta(days=1) if table == "people" else AS_OF
        for delivery in ingestion.pending(settings, table, since=START, until=until):
            ingestion.ingest(settings, delivery)
    simulated.write_chain(settings, simulated.AS_OF)
    for name, (as_of, models) in TRAINED.items():
        domain = find_domain(name)
        lifecycle.build_features(settings, domain, as_of)
        for model in models:
            # The gate's decision is tested elsewhere.
            version = lifecycle.train(settings, spec_of(model), as_of).version
            Registry(settings).promote(model, version, by="test", reason="to serve")
        scoring.score(settings, domain, as_of)


@pytest.fixture
def own_shop(shop: Settings, tmp_path: Path) -> Settings:
    """A copy of the shop that a test may change."""
    shutil.copytree(shop.home, tmp_path / "home", ignore=shutil.ignore_patterns("predictions"))
    return shop.model_copy(update={"home": str(tmp_path / "home"), "artifacts": shop.artifacts_uri})


@pytest.fixture(scope="session")
def client(shop: Settings) -> Iterator[httpx.Client]:
    """A client of the service without keys."""
    with running(shop) as made:
        yield ready(made)


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    """Settings of an empty home, for a service over a stub."""
    return Settings(home=str(tmp_path / "home"), code_version="abc123", serve_timeout_seconds=HANG_SECONDS)


@pytest.fixture(scope="session")
def examples(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """Path -> the example body in the OpenAPI description."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        path: about["post"]["requestBody"]["content"]["application/json"]["example"]
        for path, about in paths.items()
        if "requestBody" in about.get("post", {})
    }
