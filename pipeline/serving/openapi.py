"""The OpenAPI description of the service. Its examples are the champions' input examples, so they work when pasted."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipeline.endpoints import EndpointSpec
from pipeline.serving.errors import ProblemBody
from pipeline.serving.model_manager import ModelManager

SCHEMAS = "#/components/schemas/{model}"
EXAMPLE_ROWS = 2

_PROBLEM = {
    "model": ProblemBody,
    "content": {"application/problem+json": {"schema": {"$ref": SCHEMAS.format(model="ProblemBody")}}},
}


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for some problem statuses."""
    return {int(status): {**_PROBLEM, "description": status.phrase} for status in sorted(statuses)}


COMMON = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""Problem statuses of every route that requires a key."""
PROBLEMS = problems(
    *COMMON,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
"""Problem responses of a route that predicts."""


def ref(model: type[BaseModel]) -> dict[str, str]:
    """A reference to a model's schema."""
    return {"$ref": SCHEMAS.format(model=_name(model))}


def install(app: FastAPI, manager: ModelManager, specs: Sequence[EndpointSpec]) -> None:
    """Generate the description again whenever the champions change, because the examples do."""
    cached: dict[tuple[object, ...], dict[str, Any]] = {}

    def describe() -> dict[str, Any]:
        champions = tuple(manager.champion(spec.name) for spec in specs)
        key = tuple(map(id, champions))
        if key not in cached:
            cached.clear()
            # The champions are kept with it, so that no other object gets their ids.
            cached[key] = {"schema": generate(), "champions": champions}
        schema: dict[str, Any] = cached[key]["schema"]
        return schema

    def generate() -> dict[str, Any]:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        requests = [spec.request for spec in specs]
        _, definitions = models_json_schema([(model, "validation") for model in requests], ref_template=SCHEMAS)
        names = {model.__name__: _name(model) for model in requests}
        components = schema["components"]
        components["schemas"] |= {names.get(name, name): part for name, part in definitions["$defs"].items()}
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "A key made by `aisle key`."},
            "browser": {"type": "http", "scheme": "basic", "description": "The key as password, with any user name."},
        }
        schema["security"] = [{"key": []}, {"browser": []}]
        for spec in specs:
            champion = manager.champion(spec.name)
            if champion is not None:
                rows = [row.model_dump(mode="json", exclude_none=True) for row in champion.predictor.example]
                body = schema["paths"][spec.path]["post"]["requestBody"]["content"]["application/json"]
                body["example"] = {"rows": rows[:EXAMPLE_ROWS]}
        for path in schema["paths"]:
            if path.startswith("/health/"):
                schema["paths"][path]["get"]["security"] = []
        return schema

    app.openapi = describe  # type: ignore[method-assign]


def _name(model: type[BaseModel]) -> str:
    """The name of a generic model without brackets, which a reference cannot hold."""
    return model.__name__.replace("[", "_").replace("]", "")
