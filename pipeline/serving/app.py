"""The application: `uvicorn --factory pipeline.serving.app:create_app`, or `aisle serve`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import metadata

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from pipeline import domains
from pipeline.endpoints import EndpointSpec
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.serving import errors, openapi, pages, predict, status
from pipeline.serving.auth import AuthMiddleware
from pipeline.serving.endpoint import Endpoint
from pipeline.serving.limits import BodyLimit
from pipeline.serving.metrics import Metrics
from pipeline.serving.middleware import RequestMiddleware
from pipeline.serving.model_manager import ModelManager
from pipeline.serving.prediction_log import PredictionLog
from pipeline.settings import Scope, Settings, load_settings

RETRY_SECONDS = 2.0
"""How often the registry is asked while a champion is missing."""


def create_app(
    settings: Settings | None = None,
    endpoints: Sequence[EndpointSpec] | None = None,
    registry: Callable[[], Registry] | None = None,
) -> FastAPI:
    """The service over the champions of a registry.

    Args:
        settings: read from the environment when missing.
        endpoints: what is served, in the order of /docs; those of all domains when missing.
        registry: makes the registry; the settings' when missing.

    Raises:
        UsageError: if a setting has a value that is not allowed.
    """
    settings = settings or load_settings()
    specs = domains.endpoints() if endpoints is None else endpoints
    metrics, lake = Metrics(), Lake(settings)
    champions = ModelManager(settings, specs, metrics, registry)
    predictions = PredictionLog(lake, metrics, most=settings.serve_log_rows, seconds=settings.serve_log_seconds)
    units = [Endpoint(one, champions, predictions, metrics, settings) for one in specs]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        predictions.start()
        polling = asyncio.create_task(_poll(champions, settings.serve_poll_seconds))
        yield
        polling.cancel()
        for unit in units:
            await unit.close()
        await asyncio.to_thread(predictions.stop)

    app = FastAPIOffline(
        title="Aisle",
        version=metadata.version("aisle"),
        description="Predictions of the models in use. Every answer names the version that made it.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        static_url=pages.STATIC,
        redirect_slashes=False,
    )
    errors.install(app)
    for unit in units:
        app.include_router(predict.router(unit))
    app.include_router(status.router(champions, specs, metrics))
    app.include_router(pages.router(lake))
    openapi.install(app, champions, specs)

    # The last one added is the outermost.
    app.add_middleware(BodyLimit)
    paths = {one.path for one in specs}
    app.add_middleware(
        AuthMiddleware, keys=settings.api_keys, rate=settings.serve_rate, scope_of=lambda path: _scope_of(path, paths)
    )
    app.add_middleware(RequestMiddleware, metrics=metrics, seconds=settings.serve_timeout_seconds)
    return app


def _scope_of(path: str, predictions: set[str]) -> Scope | None:
    """What a path needs; whatever is not named here needs `read`, so a new route is never open by accident."""
    if path in ("/health/live", "/health/ready"):
        return None
    if path in predictions:
        return "predict"
    return "admin" if path == "/reload" else "read"


async def _poll(champions: ModelManager, seconds: float) -> None:
    settled = False
    while True:
        await asyncio.to_thread(champions.refresh)
        if champions.ready and not settled:
            # Libraries and champions stay. Looking through their million objects for garbage, again and again, would
            # stop every request for half a second each time.
            gc.collect()
            gc.freeze()
            settled = True
        await asyncio.sleep(seconds if champions.ready else min(seconds, RETRY_SECONDS))
