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
from pipeline.ingestion.number_style import number_style
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.serving import errors, openapi, pages, predict, status
from pipeline.serving.auth import AuthMiddleware
from pipeline.serving.body import BodyReader
from pipeline.serving.body_limit import BodyLimitMiddleware
from pipeline.serving.endpoint import Endpoint
from pipeline.serving.metrics import Metrics
from pipeline.serving.middleware import RequestMiddleware
from pipeline.serving.model_manager import ModelManager
from pipeline.serving.paths import is_health
from pipeline.serving.prediction_log import PredictionLog
from pipeline.settings import Scope, Settings, load_settings

RETRY_SECONDS = 2.0
"""How often the registry is polled while a required champion is missing."""


def create_app(
    settings: Settings | None = None,
    endpoints: Sequence[EndpointSpec] | None = None,
    registry: Callable[[], Registry] | None = None,
) -> FastAPI:
    """Create the service over the champions of a registry.

    Args:
        settings: read from the environment if missing.
        endpoints: what is served, in the order of /docs; those of all domains if missing.
        registry: opens the registry; that of the settings if missing.

    Raises:
        UsageError: if a setting has a value that is not allowed.
    """
    settings = settings or load_settings()
    specs = domains.endpoints() if endpoints is None else endpoints
    metrics, lake = Metrics(), Lake(settings)
    manager = ModelManager(settings, specs, metrics, registry)
    predictions = PredictionLog(lake, metrics, max_rows=settings.serve_log_rows, seconds=settings.serve_log_seconds)
    reader = BodyReader(specs)
    running = [Endpoint(spec, manager, predictions, metrics, settings) for spec in specs]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        predictions.start()
        # uvicorn listens only after this: whoever reaches the service finds the champions loaded, or why they are not.
        await asyncio.to_thread(manager.refresh)
        polling = asyncio.create_task(_poll(manager, settings.serve_poll_seconds))
        yield
        polling.cancel()
        reader.close()
        for endpoint in running:
            await endpoint.close()
        await asyncio.to_thread(predictions.stop)

    app = FastAPIOffline(
        title="Aisle",
        version=metadata.version("aisle"),
        description="Predictions of the models in use. Every answer names the model version that made it.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        static_url=pages.STATIC,
        redirect_slashes=False,
    )
    app.state.prediction_log = predictions
    errors.install(app)
    for endpoint in running:
        app.include_router(predict.router(endpoint, reader))
    app.include_router(status.router(manager, specs, metrics, number_style(settings)))
    app.include_router(pages.router(lake))
    openapi.install(app, manager, specs)

    # The last one added is the outermost.
    app.add_middleware(BodyLimitMiddleware)
    paths = {spec.path for spec in specs}
    lookups = tuple(f"{spec.path}/" for spec in specs if spec.lookup)
    app.add_middleware(
        AuthMiddleware,
        keys=settings.api_keys,
        rate=settings.serve_rate,
        scope_of=lambda path: _scope_of(path, paths, lookups),
    )
    app.add_middleware(RequestMiddleware, metrics=metrics, seconds=settings.serve_timeout_seconds)
    return app


def _scope_of(path: str, prediction_paths: set[str], lookups: tuple[str, ...] = ()) -> Scope | None:
    """The scope that a path requires. Unlisted paths require `read`, so that no new route is open by accident."""
    if is_health(path):
        return None
    if path in prediction_paths or path.startswith(lookups):
        return "predict"
    return "admin" if path == "/reload" else "read"


async def _poll(manager: ModelManager, seconds: float) -> None:
    """Refresh the models every few seconds after the first time, until cancelled."""
    frozen = False
    while True:
        if manager.ready and not frozen:
            # Libraries and champions are a million objects that stay. Excluding them from garbage collection avoids
            # pauses of half a second.
            gc.collect()
            gc.freeze()
            frozen = True
        await asyncio.sleep(seconds if manager.ready else min(seconds, RETRY_SECONDS))
        await asyncio.to_thread(manager.refresh)
