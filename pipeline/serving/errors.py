"""Responses that say what is wrong and what to change: RFC 9457 problem details with the fields of our errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from pipeline.endpoints import Fault, shown
from pipeline.errors import AisleError
from pipeline.serving.people import HTML, PAGE_HEADERS, failure_page, wants_page

MAX_FAULTS = 20
"""Faults that a response lists; a request with more usually repeats the same one."""


class ProblemBody(Fault):
    """The body of a response to a request that was refused or failed."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    faults: list[Fault] = []  # noqa: RUF012 (pydantic copies defaults)
    request_id: str = ""


class ProblemError(AisleError):
    """A request that is refused or failed, with the response that says so.

    Args:
        status: of the response.
        faults: one for each thing that is wrong, where there are several.
        headers: of the response.
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

    def response(self, scope: Scope) -> Response:
        """The problem as an HTTP response to a request: a page if a browser asks for one, else JSON."""
        request_id = scope["state"]["request_id"]
        if wants_page(Headers(scope=scope)):
            fault = Fault.of(self)
            facts = {"where": fault.where, "observed": fault.observed, "allowed": fault.allowed, "to do": fault.todo}
            page = failure_page(self.status, self.what, facts, request_id)
            return Response(page, self.status, headers={**PAGE_HEADERS, **self.headers}, media_type=HTML)
        body = ProblemBody(
            title=self.status.phrase,
            status=self.status,
            detail=" ".join(part for part in (self.what + ".", self.todo and f"To do: {self.todo}.") if part),
            faults=self.faults,
            request_id=request_id,
            **Fault.of(self).model_dump(),
        )
        return Response(
            body.model_dump_json(),
            self.status,
            headers={"Vary": "Accept", **self.headers},
            media_type="application/problem+json",
        )


def not_json(observed: object) -> ProblemError:
    """The problem of a body that is not JSON."""
    return ProblemError(
        HTTPStatus.BAD_REQUEST,
        "The body is not JSON",
        observed=shown(str(observed)),
        todo="send one JSON object, in UTF-8; /docs has an example for each path",
    )


def body_problem(error: ValidationError, *, complete: bool) -> ProblemError:
    """The problem of a body that does not match the schema: 400 if it is not JSON, else 422.

    Args:
        error: of the schema.
        complete: whether it lists every fault, not only those of the first row that has one.
    """
    errors = error.errors(include_url=False)
    if errors[0]["type"] == "json_invalid":
        return not_json(errors[0]["ctx"]["error"])
    count = len(errors)
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The body does not match the schema",
        where=_location(errors[0]["loc"]),
        observed=f"{count} fault{'s' if count > 1 else ''}" + ("" if complete else " up to the first row with one"),
        allowed="the schema of this path in /openapi.json",
        todo="correct what `faults` lists" + (f" (the first {MAX_FAULTS})" if count > MAX_FAULTS else ""),
        faults=[_fault(entry) for entry in errors[:MAX_FAULTS]],
    )


def address_problem(errors: Sequence[Any]) -> ProblemError:
    """The problem of an address whose parameters do not match the schema, from pydantic's errors."""
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The address does not match the path's parameters",
        faults=[_fault(entry) for entry in errors[:MAX_FAULTS]],
        todo="/docs lists every path and its parameters",
    )


# What to do about pydantic's most common errors; for the others its own message is enough.
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
    """One of pydantic's errors as a fault."""
    bounds = {key: value for key, value in entry.get("ctx", {}).items() if key not in ("error", "class_name")}
    # The input of a missing field is the whole object around it.
    observed = "" if entry["type"] == "missing" else shown(entry["input"])
    return Fault(
        what=entry["msg"].removeprefix("Value error, "),
        where=_location(entry["loc"]),
        observed=observed,
        allowed=", ".join(f"{key.replace('_', ' ')}: {shown(value)}" for key, value in bounds.items()),
        todo=_TODO.get(entry["type"], ""),
    )


def _location(parts: tuple[int | str, ...]) -> str:
    return ".".join(map(str, parts))


def install(app: FastAPI) -> None:
    """Answer every failure of a route with a problem's response."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return error.response(request.scope)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        problem = ProblemError(
            status,
            "There is nothing at this address"
            if status is HTTPStatus.NOT_FOUND
            else "This address refuses the request",
            where=f"{request.method} {shown(request.url.path)}",
            allowed=(error.headers or {}).get("Allow"),
            todo="/docs lists every path and method",
            headers=error.headers,
        )
        return problem.response(request.scope)

    @app.exception_handler(RequestValidationError)
    async def _address(request: Request, error: RequestValidationError) -> Response:
        return address_problem(error.errors()).response(request.scope)
