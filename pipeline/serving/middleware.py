"""What every request gets: an id, a time limit, a log line, metrics, headers, and a response if all else fails.

Log lines hold no payload, no key and no query string.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.errors import ProblemError
from pipeline.serving.metrics import Metrics

REQUEST_ID = "x-request-id"
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OTHER = "other"
"""Metrics label of unknown routes and methods. With a label for each, anyone could exhaust the memory."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Security headers of JSON responses; an HTML page sets its own where it has to load scripts or styles."""
log = logging.getLogger("pipeline.serving.access")


class RequestMiddleware:
    """The outermost layer of the service.

    Args:
        metrics: where requests are counted and timed.
        seconds: how long a request may take, reading its body included.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, seconds: float) -> None:
        self._app, self._metrics, self._seconds = app, metrics, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent_id = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = sent_id if _VALID_ID.fullmatch(sent_id) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self._metrics.running.inc()
        try:
            async with asyncio.timeout(self._seconds):
                await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if not isinstance(error, TimeoutError):
                log.exception("a request failed", extra={"request_id": request_id})
            if not status:
                await self._failure(error).response(scope)(scope, receive, send_with_headers)
        finally:
            self._metrics.running.dec()
            self._record(scope, status, perf_counter() - began)

    def _failure(self, error: Exception) -> ProblemError:
        if isinstance(error, TimeoutError):
            return ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The request took too long",
                allowed=f"{self._seconds:g} seconds",
                todo="send fewer rows, or try again later",
                headers={"Retry-After": "5"},
            )
        return ProblemError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "The service failed",
            todo="send the request id to the operator of the service; its log says why",
        )

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        """Count the request and write its log line."""
        route = getattr(scope.get("route"), "path", OTHER)
        method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else OTHER
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        # Health checks come every few seconds, all day.
        level = logging.DEBUG if route.startswith("/health") and status < 400 else logging.INFO
        if log.isEnabledFor(level):
            log.log(
                level,
                "request",
                extra={
                    "request_id": scope["state"]["request_id"],
                    "method": method,
                    "route": route,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 2),
                    "key": scope["state"].get("key"),
                },
            )
