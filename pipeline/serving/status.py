"""The routes about the service itself: health, models, metrics and reloading."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from pipeline.dates import UNDATED_AS_OF
from pipeline.endpoints import EndpointSpec
from pipeline.reports.labels import metric_of
from pipeline.reports.phrasing import PLAIN, NumberStyle, written_in
from pipeline.serving.errors import ProblemError
from pipeline.serving.metrics import CONTENT_TYPE, Metrics
from pipeline.serving.model_manager import LoadedModel, ModelManager, ReloadResult
from pipeline.serving.openapi import COMMON, problems
from pipeline.serving.people import HTML, PAGE_HEADERS, model_page, models_page, wants_page


class Reload(BaseModel):
    """The result of the last reload of an endpoint: `loaded`, `unchanged`, `none` or `failed`, and in words."""

    at: datetime
    outcome: str
    text: str


class Ready(BaseModel):
    """Whether every required endpoint has its champions loaded, and a sentence for each endpoint.

    Anyone may ask, so the sentences are fixed; `GET /model` has the details, for those who may read.
    """

    ready: bool
    required: list[str]
    routes: dict[str, str]


class ModelState(BaseModel):
    """A model in use: its provenance, its metrics, and since when it answers."""

    name: str
    route: str
    version: int
    aliases: list[str]
    as_of: date | Literal["undated"] = Field(
        description="The model was trained on what was known before this day; undated if its data have no dates."
    )
    tables: dict[str, int]
    features: list[str]
    metrics: dict[str, float | None]
    measured: dict[str, str] = Field(description="The metrics as pages show them: in words, with units.")
    registered_at: datetime
    since: datetime
    reload: Reload | None


class ModelDetails(ModelState):
    """A model in use, with further facts about its endpoint."""

    about: dict[str, Any]
    challenger: int | None


class Models(BaseModel):
    """Every model in use, the last reload of each endpoint, and in what currency (ISO 4217) a table's amounts are."""

    models: list[ModelState]
    routes: dict[str, Reload | None]
    locale: str = Field(description="How pages write numbers, of CLDR.")
    currencies: dict[str, str]


_NOT_LOADED = ("none", "failed")


def router(
    manager: ModelManager, specs: Sequence[EndpointSpec], metrics: Metrics, style: NumberStyle = PLAIN
) -> APIRouter:
    """The routes about the service; amounts and numbers are in `style`."""
    routes = APIRouter(tags=["service"])

    @routes.get("/health/live", summary="Whether the process answers")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get(
        "/health/ready",
        summary="Whether all required champions are loaded",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "Not ready"}},
    )
    async def ready(response: Response) -> Ready:
        if not manager.ready:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        sentences = {spec.name: manager.public_state(spec.name) for spec in specs}
        return Ready(ready=manager.ready, required=list(manager.required), routes=sentences)

    def all_models() -> Models:
        states = [
            _state(spec, name, champion, manager.last_reloads.get(spec.name), style)
            for spec in specs
            if (champion := manager.champion(spec.name)) is not None
            for name in spec.models
        ]
        return Models(
            models=[ModelState(**state) for state in states],
            routes=_last_reloads(manager, specs),
            locale=style.locale,
            currencies=dict(style.currencies),
        )

    @routes.get("/model", summary="Every model in use", response_model=Models, responses=_or_page(problems(*COMMON)))
    async def models(request: Request) -> Models | Response:
        found = all_models()
        if not wants_page(request.headers):
            return found
        failed = {name: last.text for name, last in found.routes.items() if last and last.outcome in _NOT_LOADED}
        with written_in(style):
            return _page(models_page([dict(state) for state in found.models], failed, datetime.now(UTC)))

    @routes.get(
        "/model/{name}",
        summary="One model in use",
        response_model=ModelDetails,
        responses=_or_page(problems(*COMMON, HTTPStatus.NOT_FOUND)),
    )
    async def model(name: str, request: Request) -> ModelDetails | Response:
        found = one_model(name)
        if not wants_page(request.headers):
            return found
        with written_in(style):
            return _page(model_page(dict(found), datetime.now(UTC)))

    def one_model(name: str) -> ModelDetails:
        for spec in specs:
            champion = manager.champion(spec.name)
            if name in spec.models and champion is not None:
                challenger = manager.challenger(spec.name)
                version = challenger.versions[name] if challenger else None
                return ModelDetails(
                    **_state(spec, name, champion, manager.last_reloads.get(spec.name), style),
                    about=dict(champion.predictor.about),
                    challenger=version if version != champion.versions[name] else None,
                )
        in_use = [name for spec in specs if manager.champion(spec.name) for name in spec.models]
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "No such model is in use",
            where="name",
            observed=name,
            allowed=", ".join(in_use) or "none is loaded yet",
            todo="GET /model lists the models in use",
        )

    @routes.post(
        "/reload", summary="Poll the registry for new champions now (scope admin)", responses=problems(*COMMON)
    )
    async def reload() -> Models:
        await asyncio.to_thread(manager.refresh)
        return all_models()

    @routes.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(*COMMON)},
    )
    async def scrape() -> Response:
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE})

    return routes


def _page(content: str) -> Response:
    return Response(content, headers=PAGE_HEADERS, media_type=HTML)


def _or_page(responses: Mapping[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers a browser with a page."""
    return {200: {"content": {HTML: {}}}, **responses}


def _last_reloads(manager: ModelManager, specs: Sequence[EndpointSpec]) -> dict[str, Reload | None]:
    return {spec.name: _reload(manager.last_reloads.get(spec.name)) for spec in specs}


def _reload(result: ReloadResult | None) -> Reload | None:
    return Reload(at=result.at, outcome=result.outcome, text=result.text) if result else None


def _state(
    spec: EndpointSpec, name: str, champion: LoadedModel, last_reload: ReloadResult | None, style: NumberStyle
) -> Mapping[str, Any]:
    """The fields of `ModelState`."""
    version = champion.loaded[name].version
    provenance = version.provenance
    with written_in(style):
        measured = {
            metric_of(key).text: metric_of(key).value(value)
            for key, value in version.metrics.items()
            if value is not None
        }
    return {
        "name": name,
        "route": spec.path,
        "version": version.version,
        "aliases": list(version.aliases),
        "as_of": "undated" if provenance.as_of == UNDATED_AS_OF else provenance.as_of,
        "tables": dict(provenance.tables),
        "features": list(provenance.features),
        "metrics": dict(version.metrics),
        "measured": measured,
        "registered_at": version.registered_at,
        "since": champion.since,
        "reload": _reload(last_reload),
    }
