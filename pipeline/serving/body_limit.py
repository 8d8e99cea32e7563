"""The largest request body that the service reads, and how much it reads of all requests together."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.errors import ProblemError

MAX_BYTES = 8_000_000
"""Well above what a request of 10,000 rows usually needs."""
MAX_TOTAL_BYTES = 8 * MAX_BYTES
"""Bodies of all requests that are being read or answered."""
FREE_BYTES = 65_536
"""Bytes of each body that do not count, so that small requests pass beside large ones."""


class BodyLimitMiddleware:
    """Answers 413 to bodies of more than `MAX_BYTES`, by their Content-Length and by the bytes that arrive.

    A body for which `MAX_TOTAL_BYTES` leave no room is answered 503: by the bytes that have arrived, so that nobody
    takes room by announcing a body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > MAX_BYTES:
            await _too_large(length).response(scope)(scope, receive, send)
            return
        read = held = 0

        async def counting() -> Message:
            nonlocal read, held
            message = await receive()
            read += len(message.get("body", b""))
            # Raised inside the route that reads the body; its exception handler answers.
            if read > MAX_BYTES:
                raise _too_large(f"more than {MAX_BYTES}")
            more = max(0, read - FREE_BYTES) - held
            if self._held + more > MAX_TOTAL_BYTES:
                raise ProblemError(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "Too many large requests are being answered",
                    allowed=f"{MAX_TOTAL_BYTES} bytes of all requests together",
                    todo="try again in a second",
                    headers={"Retry-After": "1"},
                )
            held += more
            self._held += more
            return message

        try:
            await self._app(scope, counting, send)
        finally:
            self._held -= held


def _too_large(observed: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        observed=f"{observed} bytes",
        allowed=f"{MAX_BYTES} bytes",
        todo="send several requests",
    )
