"""The routes that predict: a body in, checked in one go, rows answered in their order."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter, ValidationError

from pipeline.endpoints import PredictRequest, PredictResponse
from pipeline.serving.endpoint import Endpoint
from pipeline.serving.errors import ProblemError, unreadable
from pipeline.serving.openapi import PROBLEMS, ref

JSON = "application/json"


def router(unit: Endpoint) -> APIRouter:
    """A model's route."""
    served = unit.served
    asked: Any = PredictRequest[served.row]  # type: ignore[name-defined]
    answered: Any = TypeAdapter(PredictResponse[served.answer])  # type: ignore[name-defined]
    routes = APIRouter()

    # The body is read by pydantic straight from its bytes: strict about JSON's own types, and several times faster
    # than by way of Python's dictionaries.
    @routes.post(
        served.path,
        name=served.name,
        summary=served.summary,
        description=served.description,
        tags=["predictions"],
        responses={200: {"model": PredictResponse[served.answer]}, **PROBLEMS},  # type: ignore[name-defined]
        openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": ref(asked)}}}},
    )
    async def answer(request: Request) -> Response:
        body = await _body(request)
        try:
            rows = asked.model_validate_json(body).rows
        except ValidationError as error:
            raise unreadable(error) from None
        answers = await unit.answer(rows, request.state.request_id)
        return Response(
            answered.dump_json(PredictResponse.model_construct(answers=answers), warnings=False), media_type=JSON
        )

    return routes


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != JSON:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The body must be JSON, and say so",
            where="Content-Type",
            observed=kind or "none",
            allowed=JSON,
            todo=f"send the header Content-Type: {JSON}",
        )
    return await request.body()
