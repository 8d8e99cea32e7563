"""The routes that predict: they check a body as a whole and answer its rows in order."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from pipeline.endpoints import PredictRequest, PredictResponse
from pipeline.serving.body import BodyReader
from pipeline.serving.endpoint import Endpoint
from pipeline.serving.errors import ProblemError
from pipeline.serving.openapi import PROBLEMS, ref

JSON = "application/json"


LARGE_ROWS = 500
"""Answers of this many rows and more are written as JSON outside of the event loop."""


def router(endpoint: Endpoint, reader: BodyReader) -> APIRouter:
    """The route of an endpoint, whose bodies `reader` reads."""
    spec = endpoint.spec
    request_schema: Any = PredictRequest[spec.row]  # type: ignore[name-defined]
    response_adapter: Any = TypeAdapter(PredictResponse[spec.answer])  # type: ignore[name-defined]
    routes = APIRouter()

    # pydantic reads the body from its bytes: that is strict about JSON's types, and several times faster than FastAPI's
    # way through Python dictionaries.
    @routes.post(
        spec.path,
        name=spec.name,
        summary=spec.summary,
        description=spec.description,
        tags=["predictions"],
        responses={200: {"model": PredictResponse[spec.answer]}, **PROBLEMS},  # type: ignore[name-defined]
        openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": ref(request_schema)}}}},
    )
    async def answer(request: Request) -> Response:
        endpoint.check_ready()
        rows = await reader.rows(spec.name, await _body(request))
        answers = await endpoint.answer(rows, request.state.request_id)
        response: Any = PredictResponse.model_construct(answers=answers)
        write = partial(response_adapter.dump_json, response, warnings=False)
        content = write() if len(rows) < LARGE_ROWS else await reader.in_thread(write)
        return Response(content, media_type=JSON)

    return routes


async def _body(request: Request) -> bytes:
    """The body of a request whose Content-Type is JSON.

    Raises:
        ProblemError: 415 for another Content-Type.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The Content-Type is not JSON",
            where="Content-Type",
            observed=content_type or "none",
            allowed=JSON,
            todo=f"send the header Content-Type: {JSON}",
        )
    return await request.body()
