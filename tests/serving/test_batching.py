"""The queue before a model: bounded, fair to the others when one fails, and together when many wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.serving.batching import QUEUED_ROWS, Batcher, Job
from pipeline.serving.errors import ProblemError


class Work:
    """Answers each job with its rows; waits until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        if not held:
            self.go.set()

    def __call__(self, jobs: Sequence[Job]) -> list[Any]:
        self.go.wait(5)
        self.batches.append([len(job.rows) for job in jobs])
        return [ValueError("bad") if "bad" in job.rows else list(job.rows) for job in jobs]


def test_what_waits_is_answered_together_and_in_order() -> None:
    async def scene() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 10)
        first = asyncio.create_task(batcher.submit(["a"], "1"))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(batcher.submit([n, n], str(n))) for n in range(4)]
        await asyncio.sleep(0)
        assert batcher.waiting == 5
        work.go.set()
        assert await first == ["a"]
        assert await asyncio.gather(*others) == [[n, n] for n in range(4)]
        assert work.batches == [[1], [2, 2, 2, 2]]
        assert batcher.waiting == 0
        await batcher.close()

    asyncio.run(scene())


def test_a_full_queue_says_no() -> None:
    async def scene() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 2)
        waiting = [asyncio.create_task(batcher.submit([n], str(n))) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ProblemError, match="more to do") as refused:
            await batcher.submit([3], "3")
        assert refused.value.status == 429
        work.go.set()
        await asyncio.gather(*waiting)
        assert await batcher.submit([3], "3") == [3]
        await batcher.close()

    asyncio.run(scene())


def test_rows_are_bounded_as_well_but_a_lone_request_is_taken() -> None:
    async def scene() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 100)
        large = asyncio.create_task(batcher.submit([0] * (QUEUED_ROWS + 1), "large"))
        await asyncio.sleep(0)
        with pytest.raises(ProblemError):
            await batcher.submit([1], "small")
        work.go.set()
        await large
        await batcher.close()

    asyncio.run(scene())


def test_one_that_fails_fails_alone() -> None:
    async def scene() -> None:
        batcher = Batcher("test", Work(), 10)
        good, bad = await asyncio.gather(
            batcher.submit(["good"], "1"), batcher.submit(["bad"], "2"), return_exceptions=True
        )
        assert good == ["good"]
        assert isinstance(bad, ValueError)
        await batcher.close()

    asyncio.run(scene())


def test_whoever_gave_up_is_not_worked_for() -> None:
    async def scene() -> None:
        work = Work(held=True)
        batcher = Batcher("test", work, 10)
        first = asyncio.create_task(batcher.submit(["a"], "1"))
        await asyncio.sleep(0.05)
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

    asyncio.run(scene())
