"""How large a body may be."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.errors import ProblemError

MAX_BYTES = 8_000_000
"""The largest request that the schemas allow is well below it."""


class BodyLimit:
    """Refuses bodies beyond `MAX_BYTES`, by what they announce and by what comes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdigit() and int(announced) > MAX_BYTES:
            await _too_large(announced).response(scope["state"]["request_id"])(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BYTES:
                # Raised to whoever reads the body, a route, whose problems are answered.
                raise _too_large(f"more than {MAX_BYTES}")
            return message

        await self._app(scope, counted, send)


def _too_large(observed: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        observed=f"{observed} bytes",
        allowed=f"{MAX_BYTES} bytes",
        todo="send several requests",
    )
