"""The queue of an endpoint: it is bounded, batches what waits, and isolates failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.endpoints import MAX_ITEMS
from pipeline.serving.batching import MAX_QUEUED_ROWS, Batcher, Job
from pipeline.serving.errors import ProblemError
from tests.serving.helpers import HANG_SECONDS


class Work:
    """Answers each job with its rows. If held, it waits for `go`."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.started, self.go = threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def __call__(self, jobs: Sequence[Job]) -> list[Any]:
        self.started.set()
        self.go.wait(HANG_SECONDS)
        self.batches.append([len(job.rows) for job in jobs])
        return [ValueError("bad") if "bad" in job.rows else list(job.rows) for job in jobs]


def test_waiting_requests_are_answered_in_one_batch_and_in_order() -> None:
    async def scenario() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 10)
        first = asyncio.create_task(batcher.submit(["a"], "1"))
        await asyncio.to_thread(work.started.wait, HANG_SECONDS)
        others = [asyncio.create_task(batcher.submit([n, n], str(n))) for n in range(4)]
        await asyncio.sleep(0)
        assert batcher.waiting == 5
        work.go.set()
        assert await first == ["a"]
        assert await asyncio.gather(*others) == [[n, n] for n in range(4)]
        assert work.batches == [[1], [2, 2, 2, 2]]
        assert batcher.waiting == 0
        await batcher.close()

    asyncio.run(scenario())


def test_a_full_queue_refuses_requests() -> None:
    async def scenario() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 2)
        waiting = [asyncio.create_task(batcher.submit([n], str(n))) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="queue of this endpoint is full") as refused:
            await batcher.submit([3], "3")
        assert refused.value.status == 429
        work.go.set()
        await asyncio.gather(*waiting)
        assert await batcher.submit([3], "3") == [3]
        await batcher.close()

    asyncio.run(scenario())


def test_queued_rows_are_bounded_but_an_idle_queue_takes_any_request() -> None:
    async def scenario() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 100)
        large = asyncio.create_task(batcher.submit([0] * (MAX_QUEUED_ROWS + 1), "large"))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError):
            await batcher.submit([1], "small")
        work.go.set()
        await large
        await batcher.close()

    asyncio.run(scenario())


def test_rows_that_hold_much_are_predicted_apart_and_bounded_in_the_queue() -> None:
    async def scenario() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 100)
        first = asyncio.create_task(batcher.submit(["a"], "first"))
        await asyncio.to_thread(work.started.wait, HANG_SECONDS)
        heavy = [asyncio.create_task(batcher.submit([n], str(n), MAX_ITEMS - 1)) for n in range(4)]
        light = asyncio.create_task(batcher.submit([9], "light"))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError):
            await batcher.submit([1], "heavy", 2 * MAX_ITEMS)
        work.go.set()
        await asyncio.gather(first, *heavy, light)
        assert work.batches == [[1], [1], [1], [1], [1, 1]]
        await batcher.close()

    asyncio.run(scenario())


def test_a_failing_request_does_not_fail_the_others() -> None:
    async def scenario() -> None:
        batcher = Batcher("test", Work(), 10)
        good, bad = await asyncio.gather(
            batcher.submit(["good"], "1"), batcher.submit(["bad"], "2"), return_exceptions=True
        )
        assert good == ["good"]
        assert isinstance(bad, ValueError)
        await batcher.close()

    asyncio.run(scenario())


def test_a_cancelled_request_is_not_run() -> None:
    async def scenario() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 10)
        first = asyncio.create_task(batcher.submit(["a"], "1"))
        await asyncio.to_thread(work.started.wait, HANG_SECONDS)
        gone = asyncio.create_task(batcher.submit(["b"], "2"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        work.go.set()
        await first
        assert await batcher.submit(["c"], "3") == ["c"]
        assert work.batches == [[1], [1]]
        assert batcher.waiting == 0
        await batcher.close()

    asyncio.run(scenario())
