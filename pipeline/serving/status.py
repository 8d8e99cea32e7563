"""What there is to know of the service: health, models, metrics; and having champions looked for at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel

from pipeline.endpoints import EndpointSpec
from pipeline.serving.errors import ProblemError
from pipeline.serving.metrics import CONTENT_TYPE, Metrics
from pipeline.serving.model_manager import LoadedModel, ModelManager, Note
from pipeline.serving.openapi import COMMON, problems


class Reload(BaseModel):
    """What came of the last look at the registry: `loaded`, `unchanged`, `none` or `failed`, and in words."""

    at: datetime
    outcome: str
    text: str


class Ready(BaseModel):
    """Whether all that must answer can; and of each route what the last reload said."""

    ready: bool
    required: list[str]
    routes: dict[str, Reload | None]


class ModelState(BaseModel):
    """A model that serves: what it was made from, what was measured, and since when it answers."""

    name: str
    route: str
    version: int
    aliases: list[str]
    as_of: date
    tables: dict[str, int]
    features: list[str]
    metrics: dict[str, float | None]
    registered_at: datetime
    since: datetime
    reload: Reload | None


class ModelDetails(ModelState):
    """The same, and what the route knows beside it."""

    about: dict[str, Any]
    challenger: int | None


class Models(BaseModel):
    """Every model that serves, and of each route what the last reload said."""

    models: list[ModelState]
    routes: dict[str, Reload | None]


def router(champions: ModelManager, served: Sequence[EndpointSpec], metrics: Metrics) -> APIRouter:
    """The routes about the service."""
    routes = APIRouter(tags=["service"])

    @routes.get("/health/live", summary="Whether the process answers")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get(
        "/health/ready",
        summary="Whether all configured champions are loaded",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "Not ready"}},
    )
    async def ready(response: Response) -> Ready:
        if not champions.ready:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return Ready(ready=champions.ready, required=list(champions.required), routes=_notes(champions, served))

    @routes.get("/model", summary="Every model that serves", responses=problems(*COMMON))
    async def models() -> Models:
        found = [
            _state(one, name, serving, champions.notes.get(one.name))
            for one in served
            if (serving := champions.serving(one.name)) is not None
            for name in one.models
        ]
        return Models(models=[ModelState(**state) for state in found], routes=_notes(champions, served))

    @routes.get("/model/{name}", summary="One of them", responses=problems(*COMMON, HTTPStatus.NOT_FOUND))
    async def model(name: str) -> ModelDetails:
        for one in served:
            serving = champions.serving(one.name)
            if name in one.models and serving is not None:
                challenger = champions.challenger(one.name)
                version = challenger.versions[name] if challenger else None
                return ModelDetails(
                    **_state(one, name, serving, champions.notes.get(one.name)),
                    about=dict(serving.predictor.about),
                    challenger=version if version != serving.versions[name] else None,
                )
        known = [name for one in served if champions.serving(one.name) for name in one.models]
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "No such model serves",
            where="name",
            observed=name,
            allowed=", ".join(known) or "none serves yet",
            todo="GET /model lists what serves",
        )

    @routes.post("/reload", summary="Look for new champions now (scope admin)", responses=problems(*COMMON))
    async def reload() -> Models:
        await asyncio.to_thread(champions.refresh)
        return await models()

    @routes.get(
        "/metrics",
        summary="For Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(*COMMON)},
    )
    async def scrape() -> Response:
        return Response(metrics.page(), headers={"content-type": CONTENT_TYPE})

    return routes


def _notes(champions: ModelManager, served: Sequence[EndpointSpec]) -> dict[str, Reload | None]:
    return {one.name: _reload(champions.notes.get(one.name)) for one in served}


def _reload(note: Note | None) -> Reload | None:
    return Reload(at=note.at, outcome=note.outcome, text=note.text) if note else None


def _state(served: EndpointSpec, name: str, serving: LoadedModel, note: Note | None) -> Mapping[str, Any]:
    version = serving.loaded[name].version
    made_from = version.provenance
    return {
        "name": name,
        "route": served.path,
        "version": version.version,
        "aliases": list(version.aliases),
        "as_of": made_from.as_of,
        "tables": dict(made_from.tables),
        "features": list(made_from.features),
        "metrics": dict(version.metrics),
        "registered_at": version.registered_at,
        "since": serving.since,
        "reload": _reload(note),
    }
