"""A small shop with trained champions, and the service over it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.settings import Settings
from tests.helpers import made_once
from tests.serving.helpers import HANG_SECONDS, ready, running
from tests.serving.shop import shop_settings, train


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Settings:
    """Four months of the simulated shop and a chain of stores, with champions trained and scored on them."""
    made = made_once(tmp_path_factory, "served", lambda folder: train(shop_settings(folder), empty_mlflow))
    settings = shop_settings(made)
    # A copy, because the services of parallel workers log their requests in it.
    home = tmp_path_factory.mktemp("shop") / "home"
    shutil.copytree(settings.home, home)
    return settings.model_copy(update={"home": str(home), "artifacts": settings.artifacts_uri})


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
