"""A challenger predicts the champion's live rows as well; its predictions are logged and never returned.

It has its own thread and a small queue, so clients do not wait for it. When the queue is full, rows are skipped and
counted.
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
    """Runs a challenger in the background.

    Args:
        predict: predicts, counts and logs the rows of some jobs with a model, in a role.
    """

    def __init__(
        self, spec: EndpointSpec, predict: Callable[[LoadedModel, str, Sequence[Job]], Any], metrics: Metrics
    ) -> None:
        self._spec, self._predict, self._metrics = spec, predict, metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{spec.name}-shadow")
        self._free = BoundedSemaphore(MAX_BATCHES)

    def submit(self, challenger: LoadedModel, jobs: Sequence[Job]) -> None:
        """Let the challenger predict these rows, unless its queue is full."""
        if not jobs:
            return
        if not self._free.acquire(blocking=False):
            self._metrics.shadow_dropped.labels(self._spec.name).inc(sum(len(job.rows) for job in jobs))
            return
        self._thread.submit(self._predict, challenger, "shadow", jobs).add_done_callback(self._done)

    def close(self) -> None:
        """Finish what is queued."""
        self._thread.shutdown()

    def _done(self, future: Future[Any]) -> None:
        self._free.release()
        if error := future.exception():
            log.warning("%s: the challenger failed", self._spec.name, exc_info=error)
