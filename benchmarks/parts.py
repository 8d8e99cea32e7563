"""The seconds and processor time of the pipeline's own steps, as its log tells them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from pipeline.logs import ENDS, STARTED

if TYPE_CHECKING:
    from benchmarks.profiling import Stopwatch


class Parts(logging.Handler):
    """Adds up what each step takes, the steps within it included.

    Attributes:
        each: name of a step -> its times, one pair of seconds and processor seconds each time it ran.
    """

    def __init__(self) -> None:
        super().__init__()
        self.each: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._running: list[tuple[str, float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take the time at the start and the end of a step."""
        name, _, state = str(getattr(record, "event", "")).rpartition(" ")
        if state == STARTED:
            self._running.append((name, perf_counter(), process_time()))
        elif state in ENDS:
            while self._running:
                started, seconds, cpu = self._running.pop()
                if started == name:
                    self.each[name].append((perf_counter() - seconds, process_time() - cpu))
                    break

    def add_to(self, watch: Stopwatch) -> None:
        """Write the sums into a stopwatch."""
        for name, times in self.each.items():
            watch.steps[name] = sum(seconds for seconds, _ in times)
            watch.cpu[name] = sum(cpu for _, cpu in times)


@contextmanager
def timing_parts() -> Iterator[Parts]:
    """Time the steps that are taken within the block, in this process."""
    parts, log = Parts(), logging.getLogger("pipeline")
    log.addHandler(parts)
    log.setLevel(logging.INFO)
    try:
        yield parts
    finally:
        log.removeHandler(parts)
