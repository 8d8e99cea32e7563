"""The routes that predict: they check a body as a whole and answer its rows in order."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter, ValidationError

from pipeline.endpoints import RowError
from pipeline.serving.body import BodyReader
from pipeline.serving.endpoint import Endpoint
from pipeline.serving.errors import ProblemError, address_problem
from pipeline.serving.openapi import PROBLEMS, problems, ref

JSON = "application/json"


LARGE_ROWS = 500
"""Answers of this many rows and more are written as JSON outside of the event loop."""


def router(endpoint: Endpoint, reader: BodyReader) -> APIRouter:
    """The route of an endpoint, whose bodies `reader` reads."""
    spec = endpoint.spec
    response_adapter = TypeAdapter(spec.response)
    routes = APIRouter()

    # pydantic reads the body from its bytes: that is strict about JSON's types, and several times faster than FastAPI's
    # way through Python dictionaries.
    @routes.post(
        spec.path,
        name=spec.name,
        summary=spec.summary,
        description=spec.description,
        tags=["predictions"],
        responses={200: {"model": spec.response}, **PROBLEMS},
        openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": ref(spec.request)}}}},
    )
    async def answer(request: Request) -> Response:
        endpoint.check_ready()
        asked = await reader.request(spec.name, await _body(request))
        sum_over = asked.sum_over if spec.sums else None
        answered = await endpoint.answer(asked.rows, request.state.request_id, sum_over)
        response = spec.response.model_construct(answers=answered.answers, sums=answered.sums)
        left_out = None if sum_over else {"sums"}
        write = partial(response_adapter.dump_json, response, warnings=False, exclude=left_out)
        large = len(answered.answers) + len(answered.sums) >= LARGE_ROWS
        content = await reader.in_thread(write) if large else write()
        return Response(content, media_type=JSON)

    if spec.lookup:
        _add_lookup(routes, endpoint, spec.lookup)
    return routes


def _add_lookup(routes: APIRouter, endpoint: Endpoint, name: str) -> None:
    """`GET <path>/<value>`: the answer to one row, whose only field has this name."""
    spec = endpoint.spec
    answer_adapter: Any = TypeAdapter(spec.answer)

    @routes.get(
        f"{spec.path}/{{value}}",
        name=f"{spec.name}_{name}",
        summary=spec.summary,
        description=spec.description,
        tags=["predictions"],
        responses={200: {"model": spec.answer}, **PROBLEMS, **problems(HTTPStatus.NOT_FOUND)},
    )
    async def look_up(value: str, request: Request) -> Response:
        endpoint.check_ready()
        try:
            row = spec.row.model_validate_strings({name: value})
        except ValidationError as error:
            raise address_problem(error.errors(include_url=False)) from None
        (found,) = (await endpoint.answer([row], request.state.request_id)).answers
        if isinstance(found, RowError):
            fault = found.error
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                fault.what,
                where=fault.where,
                observed=fault.observed,
                allowed=fault.allowed,
                todo=fault.todo,
            )
        return Response(answer_adapter.dump_json(found, warnings=False), media_type=JSON)


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
