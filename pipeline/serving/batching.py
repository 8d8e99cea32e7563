"""A bounded queue before one thread: what came while it was busy is answered in one go.

So nothing waits when there is little to do, and when there is much the cost that each call has, whatever its rows, is
shared by all who wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pipeline.endpoints import MAX_ROWS
from pipeline.serving.errors import ProblemError

QUEUED_ROWS = 5 * MAX_ROWS
"""Rows that may wait: five of the largest requests. They bound the memory as the number of requests cannot."""


@dataclass(frozen=True, eq=False)
class Job:
    """A request's rows, and where its answers go."""

    rows: Sequence[Any]
    request_id: str
    done: asyncio.Future[Any]


class Batcher:
    """The queue and its thread.

    Args:
        name: of the thread.
        run: answers jobs, one result a job, an exception for one that failed; called in the thread.
        most: jobs that may wait or be worked on.
    """

    def __init__(self, name: str, run: Callable[[Sequence[Job]], Sequence[Any]], most: int) -> None:
        self._run, self._most = run, most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[Job] = deque()
        self._jobs = self._rows = 0
        self._drain: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait or are worked on."""
        return self._jobs

    async def submit(self, rows: Sequence[Any], request_id: str) -> Any:
        """The result of `run` for these rows.

        Raises:
            ProblemError: 429 when the queue is full.
        """
        # A lone request is taken however large it is: the schema bounds it.
        if self._jobs and (self._jobs >= self._most or self._rows + len(rows) > QUEUED_ROWS):
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "The service has more to do than it can take on",
                observed=f"{self._jobs} requests with {self._rows} rows are waiting",
                allowed=f"{self._most} requests, {QUEUED_ROWS} rows",
                todo="try again in a second, and ask for more rows in fewer requests",
                headers={"Retry-After": "1"},
            )
        job = Job(rows, request_id, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._jobs += 1
        self._rows += len(rows)
        if self._drain is None:
            self._drain = asyncio.create_task(self._work())
        return await job.done

    async def close(self) -> None:
        """Wait for what runs; nothing may be submitted any more."""
        if self._drain is not None:
            await self._drain
        self._thread.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            jobs = self._take()
            # Whoever has given up waiting is not worked for.
            wanted = [job for job in jobs if not job.done.done()]
            if wanted:
                results = await loop.run_in_executor(self._thread, self._run, wanted)
                for job, result in zip(wanted, results, strict=True):
                    if job.done.done():
                        continue
                    if isinstance(result, Exception):
                        job.done.set_exception(result)
                    else:
                        job.done.set_result(result)
            self._jobs -= len(jobs)
            self._rows -= sum(len(job.rows) for job in jobs)
        self._drain = None

    def _take(self) -> list[Job]:
        """The next jobs, of no more rows than one request may have, but at least one job."""
        jobs = [self._waiting.popleft()]
        rows = len(jobs[0].rows)
        while self._waiting and (rows := rows + len(self._waiting[0].rows)) <= MAX_ROWS:
            jobs.append(self._waiting.popleft())
        return jobs
