"""Limits of what a connection may cost: size and number of headers, time for each phase, connections of an address.

uvicorn with httptools has none of them: it keeps a header line of any length, and a connection that never completes its
request for ever. Its protocol class is extended here by its own callbacks.

A connection is in one of three phases, each with a time limit: `head` (until the headers are complete), `request`
(until the answer is sent), `idle` (until the next request begins). When an address, or all together, have as many
connections as they may, the one that has waited longest without a complete request makes room. Where all of them have
requests running, a further connection is answered 503, except for health checks: these are always answered.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.serving.paths import is_health

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

MAX_HEAD_BYTES = 32_768
"""Request line and headers together, in bytes."""
MAX_HEADERS = 100
MAX_PIPELINED = 16
"""Requests that a connection may send before the first one is answered."""
MAX_CONNECTIONS = 1_000
"""Connections of all addresses together."""
HEAD_SECONDS = 10.0
IDLE_SECONDS = 30.0
SENDING_SECONDS = 10.0
"""How much longer than a request's own time limit its answer may take to be read."""


@dataclass
class Limits:
    """The limits of a server, and its open connections.

    Args:
        per_address: connections of one address.
        request_seconds: how long a request may take, from its headers to the end of its answer.
        total: connections of all addresses.
        head_seconds: how long the headers of a request may take.
        idle_seconds: how long a connection may wait for its next request.
    """

    per_address: int
    request_seconds: float
    total: int = MAX_CONNECTIONS
    head_seconds: float = HEAD_SECONDS
    idle_seconds: float = IDLE_SECONDS
    _open: dict[LimitedProtocol, None] = field(default_factory=dict)
    _of_address: defaultdict[str, dict[LimitedProtocol, None]] = field(default_factory=lambda: defaultdict(dict))

    def admit(self, connection: LimitedProtocol) -> bool:
        """Enter a connection; false if it is one too many and none could make room for it."""
        same = self._of_address[connection.address]
        crowded = same if len(same) >= self.per_address else self._open if len(self._open) >= self.total else {}
        waiting = next((one for one in crowded if one.waiting), None)
        if waiting is not None:
            waiting.end()
        self._open[connection] = same[connection] = None
        return not crowded or waiting is not None

    def forget(self, connection: LimitedProtocol) -> None:
        """Remove a connection that has ended."""
        self._open.pop(connection, None)
        same = self._of_address[connection.address]
        same.pop(connection, None)
        if not same:
            del self._of_address[connection.address]


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools with `Limits`. `protocol_with` makes a class for each server."""

    limits: ClassVar[Limits]
    address = ""
    _timer: asyncio.TimerHandle | None = None
    _phase = "head"
    _head_bytes = _unparsed_bytes = _headers = 0
    _in_head = True
    _begun = _ended_message = False
    _too_large = False

    @property
    def waiting(self) -> bool:
        """Whether no request of this connection is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def end(self) -> None:
        """Close the connection at once, whether or not the other side reads."""
        self.limits.forget(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not self.limits.admit(self):
            self.app = _health_only(self.app)
        self._enter("head", self.limits.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.limits.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._phase == "idle":
            self._enter("head", self.limits.head_seconds)
        self._ended_message = False
        super().data_received(data)
        # What ends a message is its body.
        if self._in_head and not self._ended_message and not self._too_large:
            # httptools reports a header only when its line has ended.
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > MAX_HEAD_BYTES:
                self._too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._unparsed_bytes = self._headers = 0
        self._in_head = self._begun = True

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # Also called for the trailers after a body in chunks.
        self._headers += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = self._begun = False
        if len(self.pipeline) >= MAX_PIPELINED:
            self._too_large = True
            raise ValueError("too many requests at once")
        self._enter("request", self.limits.request_seconds)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = self._ended_message = True
        self._unparsed_bytes = 0
        if self.waiting:
            self._enter("idle", self.limits.idle_seconds)

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._enter("request", self.limits.request_seconds)
        elif self._begun:
            # The headers of the next request have begun to come during this one.
            self._enter("head", self.limits.head_seconds)
        elif not self.cycle.more_body:
            self._enter("idle", self.limits.idle_seconds)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or too large; the time limit of the phase ends a connection that does not close."""
        if self.transport.is_closing():
            return
        if not self._too_large:
            super().send_400_response(msg)
            return
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES or self._headers > MAX_HEADERS:
            self._too_large = True
            # httptools passes it on as an error of the parser.
            raise ValueError("the headers are too large")

    def _enter(self, phase: str, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._phase, self._timer = phase, self.loop.call_later(seconds, self.end)


def protocol_with(limits: Limits) -> type[LimitedProtocol]:
    """The protocol class of one server."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": limits})


def _health_only(app: ASGI3Application) -> ASGI3Application:
    """An application that answers health checks only."""

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        chosen: Any = app if is_health(scope["path"]) else service_unavailable  # type: ignore[typeddict-item]
        await chosen(scope, receive, send)

    return answer
