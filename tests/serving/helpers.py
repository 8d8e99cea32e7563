"""The prediction service under test: its keys, a running server, and a client."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import uvicorn
from sklearn.linear_model import LinearRegression

from pipeline.footfall.buyers import FIT_FILE, MODEL
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance
from pipeline.serving.app import create_app
from pipeline.serving.connections import Limits, protocol_with
from pipeline.serving.keys import setting_entry
from pipeline.serving.server import configure
from pipeline.settings import ApiKey, Settings
from tests.stores import simulated

ROOT = Path(__file__).resolve().parents[2]
START, AS_OF = date(2025, 1, 1), date(2025, 5, 1)
TRAINED = {
    "customers": (AS_OF, ("customer_segments", "recommendations")),
    "shoppers": (AS_OF, ("purchase_probability", "brand_choice", "purchase_quantity")),
    "footfall": (AS_OF, ("footfall_buyers",)),
    "stores": (simulated.AS_OF, ("store_sales",)),
}
"""Domain -> the as-of day of its scoring, and its models."""
TABLES = ("transactions", "visits", "people", "footfall")
BODY = {"rows": [{"visitors": 10}]}
"""A request to the footfall model."""
HANG_SECONDS = 300.0
"""Ends a test that would wait for ever; far more than anything takes on a busy machine, so never a bound."""


SAME = {"rtol": 1e-9, "atol": 1e-9}
"""Tolerance of values that the service and the night compute alike."""


def store_forecasts(shop: Settings) -> pd.DataFrame:
    """The night's forecasts of the stores, by store and day."""
    rows: pd.DataFrame = Lake(shop).read("store_forecasts", where={"as_of": [simulated.AS_OF]}).to_pandas()
    return rows.sort_values(["store", "day"], ignore_index=True)


@contextmanager
def running(settings: Settings, limits: Limits | None = None, **arguments: Any) -> Iterator[httpx.Client]:
    """Run the service on a loopback port; yield a client, without waiting until the service is ready.

    Args:
        limits: of its connections, in place of those of the settings.
        arguments: of `create_app`.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(settings, **arguments)
    options: dict[str, Any] = {"http": protocol_with(limits)} if limits else {}
    server = uvicorn.Server(configure(app, settings, log_config=None, timeout_graceful_shutdown=None, **options))
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


def register(settings: Settings, buyers: float, as_of: date = AS_OF, **arguments: Any) -> int:
    """Register a version of the footfall model that always predicts the same; its version."""
    registry = Registry(settings)
    model = LinearRegression().fit(pd.DataFrame({"visitors": [1.0, 2.0]}), [0.0, 0.0])
    model.intercept_ = np.float64(buyers)
    fit = registry.artefacts(MODEL, 1)[FIT_FILE]
    version = registry.log_challenger(
        MODEL,
        model,
        provenance=Provenance(as_of, {"footfall": 0}, ("visitors",), hash(buyers), "abc123"),
        example=pd.DataFrame({"visitors": [10.0]}),
        metrics={"rmse": 1.0},
        artefacts=arguments.get("artefacts", {FIT_FILE: fit}),
    )
    return version.version
