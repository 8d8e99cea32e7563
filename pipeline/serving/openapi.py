"""The service's own description, with examples that work when pasted: they are the champions' input examples."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pipeline.endpoints import EndpointSpec, PredictRequest
from pipeline.serving.errors import ProblemBody
from pipeline.serving.model_manager import ModelManager

SCHEMAS = "#/components/schemas/{model}"
EXAMPLE_ROWS = 2

_PROBLEM = {
    "model": ProblemBody,
    "content": {"application/problem+json": {"schema": {"$ref": SCHEMAS.format(model="ProblemBody")}}},
}


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """How a route's problems are described."""
    return {int(status): {**_PROBLEM, "description": status.phrase} for status in sorted(statuses)}


COMMON = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""What every route behind a key may answer."""
PROBLEMS = problems(
    *COMMON,
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
"""What a route that predicts may answer beside predictions."""


def ref(model: type[BaseModel]) -> dict[str, str]:
    """A reference to a model's schema."""
    return {"$ref": SCHEMAS.format(model=_name(model))}


def install(app: FastAPI, champions: ModelManager, served: Sequence[EndpointSpec]) -> None:
    """Let the application describe itself as it is now: examples change with champions."""

    def describe() -> dict[str, Any]:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        asked: list[Any] = [PredictRequest[one.row] for one in served]  # type: ignore[name-defined]
        _, found = models_json_schema([(model, "validation") for model in asked], ref_template=SCHEMAS)
        names = {model.__name__: _name(model) for model in asked}
        components = schema["components"]
        components["schemas"] |= {names.get(name, name): part for name, part in found["$defs"].items()}
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "A key of `aisle key`."},
            "browser": {"type": "http", "scheme": "basic", "description": "The key as password, with any user name."},
        }
        schema["security"] = [{"key": []}, {"browser": []}]
        for one in served:
            serving = champions.serving(one.name)
            if serving is not None:
                rows = [row.model_dump(mode="json", exclude_none=True) for row in serving.predictor.example]
                body = schema["paths"][one.path]["post"]["requestBody"]["content"]["application/json"]
                body["example"] = {"rows": rows[:EXAMPLE_ROWS]}
        for path in schema["paths"]:
            if path.startswith("/health/"):
                schema["paths"][path]["get"]["security"] = []
        return schema

    app.openapi = describe  # type: ignore[method-assign]


def _name(model: type[BaseModel]) -> str:
    """A generic model's name as an address may hold it."""
    return model.__name__.replace("[", "_").replace("]", "")
