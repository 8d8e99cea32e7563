"""Seconds and peak memory of a piece of work, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Stopwatch:
    """Seconds of the steps of one piece of work; imports and preparation done before it is made are not in them.

    steps: by the clock. cpu: of all the process's threads, which a busy machine stretches less.
    """

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        """The next lap begins now."""
        self._last = perf_counter(), process_time()

    def lap(self, step: str) -> None:
        """End a step, and begin the next."""
        now = perf_counter(), process_time()
        self.steps[step], self.cpu[step] = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now

    def take(self, other: Stopwatch, step: str, *, out_of: str) -> None:
        """Show a step that another watch timed within one of this watch's as a step of its own."""
        for mine, theirs in ((self.steps, other.steps), (self.cpu, other.cpu)):
            mine[step] = theirs[step]
            mine[out_of] -= theirs[step]


@dataclass(frozen=True)
class Measured:
    """steps, cpu: of the stopwatch. peak_mb: the most resident memory of the whole process, its imports included."""

    steps: dict[str, float]
    cpu: dict[str, float]
    peak_mb: float

    @property
    def seconds(self) -> float:
        return sum(self.steps.values())


def in_child(work: Callable[..., Stopwatch], *args: Any) -> Measured:
    """Run `work(*args)` in a fresh interpreter, so that nothing of an earlier measurement is warm or counted.

    A child starts from its parent's peak: keep heavy imports and data out of the process that calls this.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, *args).result()


def _measured(work: Callable[..., Stopwatch], *args: Any) -> Measured:
    watch = work(*args)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(watch.steps, watch.cpu, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def show(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print a small table; the first row is its head."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    print(f"\n{title}\n")
    for row in rows:
        print(
            "  "
            + row[0].ljust(widths[0])
            + "".join(f"  {cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
        )
