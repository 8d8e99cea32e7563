"""The largest request body that the service reads."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.errors import ProblemError

MAX_BYTES = 8_000_000
"""Well above the largest request that the schemas allow."""


class BodyLimitMiddleware:
    """Answers 413 to bodies of more than `MAX_BYTES`, by their Content-Length and by the bytes that arrive."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > MAX_BYTES:
            await _too_large(length).response(scope["state"]["request_id"])(scope, receive, send)
            return
        read = 0

        async def counting() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BYTES:
                # Raised inside the route that reads the body; its exception handler answers.
                raise _too_large(f"more than {MAX_BYTES}")
            return message

        await self._app(scope, counting, send)


def _too_large(observed: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        observed=f"{observed} bytes",
        allowed=f"{MAX_BYTES} bytes",
        todo="send several requests",
    )
