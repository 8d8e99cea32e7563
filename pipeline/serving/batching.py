"""A bounded queue before one thread, which answers in one call all requests that arrived during the previous call.

Under a light load no request waits; under a heavy load the fixed cost of a call is shared by many requests.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pipeline.endpoints import MAX_ITEMS, MAX_ROWS
from pipeline.serving.errors import ProblemError

MAX_QUEUED_ROWS = 5 * MAX_ROWS
"""Rows that may wait: five of the largest requests. Rows bound the memory; the number of requests does not."""
MAX_QUEUED_ITEMS = 5 * MAX_ITEMS
"""Items of rows that may wait, such as invoice lines, likewise."""


@dataclass(frozen=True, eq=False)
class Job:
    """The rows of a request, the number of items they hold, and the future that gets their answers.

    `sum_over` is what sums the request asks for; None: none.
    """

    rows: Sequence[Any]
    items: int
    request_id: str
    done: asyncio.Future[Any]
    sum_over: str | None = None


class Batcher:
    """The queue and its thread.

    Args:
        name: of the thread.
        run: answers jobs in the thread: one result per job, an exception for a job that failed.
        max_jobs: jobs that may wait or run.
    """

    def __init__(self, name: str, run: Callable[[Sequence[Job]], Sequence[Any]], max_jobs: int) -> None:
        self._run, self._max_jobs = run, max_jobs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[Job] = deque()
        self._jobs = self._rows = self._items = 0
        self._drain: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait or run."""
        return self._jobs

    async def submit(
        self, rows: Sequence[Any], request_id: str, items: int | None = None, sum_over: str | None = None
    ) -> Any:
        """Queue the rows of a request and return the result of `run`.

        Args:
            rows: of the request.
            request_id: of the request.
            items: what the rows hold together; the number of rows if None.
            sum_over: what sums the request asks for.

        Raises:
            ProblemError: 429 when the queue is full.
        """
        # An idle queue takes a request of any size: the schema bounds it.
        items = len(rows) if items is None else items
        full = self._rows + len(rows) > MAX_QUEUED_ROWS or self._items + items > MAX_QUEUED_ITEMS
        if self._jobs and (self._jobs >= self._max_jobs or full):
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "The queue of this endpoint is full",
                observed=f"{self._jobs} requests with {self._rows} rows are waiting",
                allowed=f"{self._max_jobs} requests, {MAX_QUEUED_ROWS} rows",
                todo="try again in a second, and send more rows in fewer requests",
                headers={"Retry-After": "1"},
            )
        job = Job(rows, items, request_id, asyncio.get_running_loop().create_future(), sum_over)
        self._waiting.append(job)
        self._jobs += 1
        self._rows += len(rows)
        self._items += items
        if self._drain is None:
            self._drain = asyncio.create_task(self._work())
        return await job.done

    async def close(self) -> None:
        """Finish what was submitted; nothing may be submitted afterwards."""
        if self._drain is not None:
            await self._drain
        self._thread.shutdown()

    async def _work(self) -> None:
        """Run jobs until none waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            jobs = self._take()
            # Requests that were cancelled or timed out while they waited are not run.
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
            self._items -= sum(job.items for job in jobs)
        self._drain = None

    def _take(self) -> list[Job]:
        """The next jobs: at least one, and together no more rows and items than one request may have."""
        jobs = [self._waiting.popleft()]
        rows, items = len(jobs[0].rows), jobs[0].items
        while self._waiting:
            rows, items = rows + len(self._waiting[0].rows), items + self._waiting[0].items
            if rows > MAX_ROWS or items > MAX_ITEMS:
                break
            jobs.append(self._waiting.popleft())
        return jobs
