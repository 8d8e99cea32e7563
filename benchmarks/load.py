"""A load generator: many connections; the latency of a request counts from the time at which it was due.

It knows only as much HTTP as it needs, so that the processor's time goes to the server. It runs in its own process.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Load:
    """The result of a load.

    Attributes:
        seconds: from the first to the last request.
        milliseconds: latency of each request that was answered with 200.
    """

    seconds: float
    milliseconds: np.ndarray
    failed: int

    @property
    def rate(self) -> float:
        """Answered requests per second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, share: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        return float(np.percentile(self.milliseconds, share))


def post(port: int, path: str, body: bytes) -> bytes:
    """The bytes of a POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def get(port: int, path: str) -> bytes:
    """The bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def send(port: int, requests: Sequence[bytes], *, connections: int, seconds: float, rate: float = 0) -> Load:
    """Send requests for some seconds, in another process.

    Args:
        requests: taken in turn.
        connections: each sends its next request as soon as it has an answer.
        rate: requests per second of all connections together, due at equal distances whether or not earlier ones are
            answered; 0 for as many as possible.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_send, port, list(requests), connections, seconds, rate).result()


def _send(port: int, requests: list[bytes], connections: int, seconds: float, rate: float) -> Load:
    import uvloop

    return uvloop.run(_run(port, requests, connections, seconds, rate))


async def _run(port: int, requests: list[bytes], connections: int, seconds: float, rate: float) -> Load:
    taken, due = itertools.cycle(requests), itertools.count()
    times: list[float] = []
    failed = 0
    began = perf_counter()

    async def connection() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            start = perf_counter()
            if rate:
                start = began + next(due) / rate
                await asyncio.sleep(max(0.0, start - perf_counter()))
            if start > began + seconds:
                break
            writer.write(next(taken))
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            if head.startswith(b"HTTP/1.1 200"):
                times.append(1000 * (perf_counter() - start))
            else:
                failed += 1
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    return Load(perf_counter() - began, np.array(times), failed)
