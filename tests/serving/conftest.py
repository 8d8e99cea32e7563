"""A small shop with trained champions, and the service over it."""

from __future__ import annotations

import base64
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from pipeline.domains import find_domain, spec_of
from pipeline.ingestion import steps as ingestion
from pipeline.registry.client import Registry
from pipeline.serving.app import create_app
from pipeline.serving.keys import setting_entry
from pipeline.settings import ApiKey, Settings
from pipeline.training import lifecycle, scoring
from tests.stores import simulated

ROOT = Path(__file__).resolve().parents[2]
START, AS_OF = date(2025, 1, 1), date(2025, 5, 1)
TRAINED = {
    "customers": (AS_OF, ("customer_segments",)),
    "shoppers": (AS_OF, ("purchase_probability", "brand_choice", "purchase_quantity")),
    "footfall": (AS_OF, ("footfall_buyers",)),
    "stores": (simulated.AS_OF, ("store_sales",)),
}
"""Domain -> the as-of day of its scoring, and its models."""
TABLES = ("transactions", "visits", "people", "footfall")
HANG_SECONDS = 300.0
"""Ends a test that would wait for ever; far more than anything takes on a busy machine, so never a bound."""
KEYS = {"all": ("predict", "read"), "reader": ("read",), "till": ("predict",), "boss": ("admin",)}
"""Name -> scopes of the keys of `guarded`; the key is the name."""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Settings:
    """Four months of the simulated shop and a chain of stores, with champions trained and scored on them."""
    home = tmp_path_factory.mktemp("served") / "home"
    home.mkdir()
    shutil.copy(empty_mlflow, home / "mlflow.db")
    sources = home.parent / "sources.yaml"
    text = (
        (ROOT / "sources.yaml")
        .read_text()
        .replace("customers=900", "customers=300")
        .replace("people=400", "people=150")
    )
    sources.write_text(text)
    settings = Settings(
        home=str(home),
        sources=sources,
        expectations=ROOT / "expectations",
        code_version="abc123",
        serve_timeout_seconds=HANG_SECONDS,
    )
    for table in TABLES:
        until = START + timedelta(days=1) if table == "people" else AS_OF
        for delivery in ingestion.pending(settings, table, since=START, until=until):
            ingestion.ingest(settings, delivery)
    simulated.came(settings, simulated.AS_OF)
    for name, (as_of, models) in TRAINED.items():
        domain = find_domain(name)
        lifecycle.build_features(settings, domain, as_of)
        for model in models:
            # The gate's decision is tested elsewhere.
            version = lifecycle.train(settings, spec_of(model), as_of).version
            Registry(settings).promote(model, version, by="test", reason="to serve")
        scoring.score(settings, domain, as_of)
    return settings


@pytest.fixture
def own_shop(shop: Settings, tmp_path: Path) -> Settings:
    """A copy of the shop that a test may change."""
    shutil.copytree(shop.home, tmp_path / "home", ignore=shutil.ignore_patterns("predictions"))
    return shop.model_copy(update={"home": str(tmp_path / "home"), "artifacts": shop.artifacts_uri})


@contextmanager
def running(settings: Settings, **arguments: Any) -> Iterator[httpx.Client]:
    """Run the service on a loopback port; yield a client, without waiting until the service is ready."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(settings, **arguments), log_config=None, access_log=False, timeout_graceful_shutdown=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=HANG_SECONDS) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(HANG_SECONDS)
        listening.close()


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition is true, and return its value."""
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("the condition never became true")


def ready(client: httpx.Client) -> httpx.Client:
    """Wait until the service is ready, and return the client."""
    until(lambda: client.get("/health/ready").status_code == 200)
    return client


def keys(scopes: Mapping[str, Sequence[str]]) -> dict[str, ApiKey]:
    """Keys that are equal to their names."""
    return {name: ApiKey(**setting_entry(name, of)) for name, of in scopes.items()}


def bearer(key: str) -> dict[str, str]:
    """The Authorization header of a program."""
    return {"Authorization": f"Bearer {key}"}


def basic(key: str) -> dict[str, str]:
    """The Authorization header of a browser."""
    return {"Authorization": "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode()}


@pytest.fixture(scope="session")
def client(shop: Settings) -> Iterator[httpx.Client]:
    """A client of the service without keys."""
    with running(shop) as made:
        yield ready(made)


@pytest.fixture(scope="session")
def guarded(shop: Settings) -> Iterator[httpx.Client]:
    """A client of the service with `KEYS`; the client sends none by itself."""
    with running(shop.model_copy(update={"api_keys": keys(KEYS)})) as made:
        yield ready(made)


@pytest.fixture(scope="session")
def examples(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """Path -> the example body in the OpenAPI description."""
    paths = client.get("/openapi.json").json()["paths"]
    return {
        path: about["post"]["requestBody"]["content"]["application/json"]["example"]
        for path, about in paths.items()
        if "requestBody" in about.get("post", {})
    }
