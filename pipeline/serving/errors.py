"""Answers that say what is wrong and what to change: RFC 9457 problem details with the fields of our errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pipeline.endpoints import Fault, shown
from pipeline.errors import AisleError

MAX_FAULTS = 20
"""Faults of a request that are told; who has more will have the same one often."""


class ProblemBody(Fault):
    """The answer to a request that could not be served."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    faults: list[Fault] = []  # noqa: RUF012 (pydantic copies defaults)
    request_id: str = ""


class ProblemError(AisleError):
    """A request that is not answered with what it asked for.

    Args:
        status: of the answer.
        faults: one for each thing that is wrong, where there are several.
        headers: of the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        what: str,
        *,
        where: str = "",
        observed: object = None,
        allowed: object = None,
        todo: str = "",
        faults: Iterable[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what, where=where, observed=observed, allowed=allowed, todo=todo)
        self.status, self.faults, self.headers = status, list(faults), dict(headers or {})

    def response(self, request_id: str) -> Response:
        """The problem as it goes over the wire."""
        fault = Fault.of(self)
        body = ProblemBody(
            title=self.status.phrase,
            status=self.status,
            detail=" ".join(part for part in (self.what + ".", self.todo and f"To do: {self.todo}.") if part),
            faults=self.faults,
            request_id=request_id,
            **fault.model_dump(),
        )
        return Response(
            body.model_dump_json(), self.status, headers=self.headers, media_type="application/problem+json"
        )


def unreadable(error: ValidationError) -> ProblemError:
    """A body that is not what the route takes."""
    found = error.errors(include_url=False)
    if found[0]["type"] == "json_invalid":
        return ProblemError(
            HTTPStatus.BAD_REQUEST,
            "The body is not JSON",
            observed=found[0]["ctx"]["error"],
            todo="send one JSON object, in UTF-8; /docs has an example for each route",
        )
    count = len(found)
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The body is JSON, but not what this route takes",
        where=_place(found[0]["loc"]),
        observed=f"{count} fault{'s' if count > 1 else ''}",
        allowed="what /openapi.json says of this route",
        todo="mend what `faults` lists" + (f" (the first {MAX_FAULTS})" if count > MAX_FAULTS else ""),
        faults=[_fault(entry) for entry in found[:MAX_FAULTS]],
    )


# What to do about pydantic's commonest objections; its own message says enough of the others.
_TODO = {
    "missing": "add the field",
    "extra_forbidden": "leave the field out, or look for its right name in /docs",
    "finite_number": "send a number; leave the field out, or send null, where there is none",
    "too_long": "send several requests",
    "too_short": "send at least one",
    "int_type": "send a whole number, without quotes",
    "float_type": "send a number, without quotes",
    "bool_type": "send true or false, without quotes",
    "date_from_datetime_parsing": "write the day as 2025-01-31",
    "date_parsing": "write the day as 2025-01-31",
    "date_type": 'write the day as "2025-01-31", in quotes',
}


def _fault(entry: Any) -> Fault:
    bounds = {key: value for key, value in entry.get("ctx", {}).items() if key not in ("error", "class_name")}
    whole = entry["type"] == "missing"
    return Fault(
        what=entry["msg"].removeprefix("Value error, "),
        where=_place(entry["loc"]),
        observed="" if whole else shown(entry["input"]),
        allowed=", ".join(f"{key.replace('_', ' ')}: {shown(value)}" for key, value in bounds.items()),
        todo=_TODO.get(entry["type"], ""),
    )


def _place(where: tuple[int | str, ...]) -> str:
    return ".".join(map(str, where))


def install(app: FastAPI) -> None:
    """Let every failure of a route become a problem's answer."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return error.response(request.state.request_id)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        problem = ProblemError(
            status,
            "There is nothing here" if status is HTTPStatus.NOT_FOUND else "This cannot be asked of this address",
            where=f"{request.method} {shown(request.url.path)}",
            allowed=(error.headers or {}).get("Allow"),
            todo="/docs lists what there is",
            headers=error.headers,
        )
        return problem.response(request.state.request_id)

    @app.exception_handler(RequestValidationError)
    async def _address(request: Request, error: RequestValidationError) -> Response:
        problem = ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The address is not what this route takes",
            faults=[_fault(entry) for entry in error.errors()[:MAX_FAULTS]],
            todo="/docs lists what there is",
        )
        return problem.response(request.state.request_id)
