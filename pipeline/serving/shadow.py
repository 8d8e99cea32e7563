"""A challenger beside the champion, on the same live rows: what it says is logged and never returned.

It has a thread and a small queue of its own. Whoever asked has their answer already, and where the challenger does not
keep up it is asked less, which is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

from pipeline.endpoints import EndpointSpec
from pipeline.serving.batching import Job
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_manager import LoadedModel

MAX_BATCHES = 8
log = logging.getLogger(__name__)


class Shadow:
    """Asks a challenger, later.

    Args:
        ask: asks what serves, in a role, and logs the answers.
    """

    def __init__(
        self, served: EndpointSpec, ask: Callable[[LoadedModel, str, Sequence[Job]], Any], metrics: Metrics
    ) -> None:
        self._served, self._ask, self._metrics = served, ask, metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{served.name}-shadow")
        self._room = BoundedSemaphore(MAX_BATCHES)

    def ask(self, challenger: LoadedModel, jobs: Sequence[Job]) -> None:
        """Let the challenger answer as well, if it keeps up."""
        if not jobs:
            return
        if not self._room.acquire(blocking=False):
            self._metrics.shadow_dropped.labels(self._served.name).inc(sum(len(job.rows) for job in jobs))
            return
        self._thread.submit(self._ask, challenger, "shadow", jobs).add_done_callback(self._done)

    def close(self) -> None:
        """Finish what waits."""
        self._thread.shutdown()

    def _done(self, asked: Future[Any]) -> None:
        self._room.release()
        if error := asked.exception():
            log.warning("%s: the challenger failed", self._served.name, exc_info=error)
