"""Measure the seconds and the peak memory of a function in its own process."""

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
    """Times the steps of one function. Imports and preparation before the stopwatch is made are not counted.

    Attributes:
        steps: wall-clock seconds of each step.
        cpu: processor seconds of each step, over all threads of the process.
    """

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        """Start the next step now."""
        self._last = perf_counter(), process_time()

    def lap(self, step: str) -> None:
        """End a step, or a further part of it, and start the next one."""
        now = perf_counter(), process_time()
        self.steps[step] = self.steps.get(step, 0.0) + now[0] - self._last[0]
        self.cpu[step] = self.cpu.get(step, 0.0) + now[1] - self._last[1]
        self._last = now

    def take(self, other: Stopwatch, step: str, *, out_of: str) -> None:
        """Take a step that another stopwatch timed out of the step of this one within which it ran."""
        for mine, theirs in ((self.steps, other.steps), (self.cpu, other.cpu)):
            mine[step] = theirs[step]
            mine[out_of] -= theirs[step]


@dataclass(frozen=True)
class Measured:
    """The result of a measurement.

    Attributes:
        steps: wall-clock seconds of each step.
        cpu: processor seconds of each step.
        peak_mb: peak resident memory of the whole process, including its imports, in megabytes.
    """

    steps: dict[str, float]
    cpu: dict[str, float]
    peak_mb: float

    @property
    def seconds(self) -> float:
        return sum(self.steps.values())


def in_child(work: Callable[..., Stopwatch], *args: Any) -> Measured:
    """Run `work(*args)` in a fresh interpreter, so that earlier measurements do not influence it.

    A child process starts with its parent's peak memory, so the calling process must not hold large imports or data.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, *args).result()


def _measured(work: Callable[..., Stopwatch], *args: Any) -> Measured:
    watch = work(*args)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(watch.steps, watch.cpu, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def show(title: str, rows: list[tuple[str, ...]]) -> None:
    """Print a table; its first row is the header."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    print(f"\n{title}\n")
    for row in rows:
        print(
            "  "
            + row[0].ljust(widths[0])
            + "".join(f"  {cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
        )
