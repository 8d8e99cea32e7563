"""Seconds and peak memory of a piece of work, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any


class Stopwatch:
    """Seconds of the steps of one piece of work; imports and preparation done before it is made are not in them."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self._last = perf_counter()

    def lap(self, step: str) -> None:
        now = perf_counter()
        self.steps[step] = now - self._last
        self._last = now


@dataclass(frozen=True)
class Measured:
    """steps: seconds of each step. peak_mb: the most resident memory of the whole process, its imports included."""

    steps: dict[str, float]
    peak_mb: float

    @property
    def seconds(self) -> float:
        return sum(self.steps.values())


def in_child(work: Callable[..., Stopwatch], *args: Any) -> Measured:
    """Run `work(*args)` in a fresh interpreter, so that nothing of an earlier measurement is warm or counted.

    A child starts from its parent's peak: keep heavy imports and data out of the process that calls this.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, *args))


def _measured(work: Callable[..., Stopwatch], *args: Any) -> Measured:
    steps = work(*args).steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Measured(steps, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


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
