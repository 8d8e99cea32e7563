"""The log of predictions, a table of the lake: inputs, output, model versions and time of every prediction.

A request only puts references into a bounded buffer; a thread turns them into rows and appends them, one commit per
batch. Predictions that do not fit into the buffer are dropped and counted: the log never makes a request slow or fail.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Any

import pyarrow as pa

from pipeline.endpoints import Predictions
from pipeline.lake.tables import Lake
from pipeline.monitoring.request_log import PREDICTIONS
from pipeline.serving.metrics import Metrics

SCHEMA = pa.schema(
    [
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("day", pa.date32(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("versions", pa.string(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("inputs", pa.string(), nullable=False),
        pa.field("output", pa.string(), nullable=False),
    ]
)
"""`model` is the endpoint's name, `versions` JSON of registered model -> version, `inputs` and `output` JSON of the
model's inputs and of the answer."""
BATCH_ROWS = 20_000
"""Buffered rows that are written at once, without waiting for the interval."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """The predictions of one batch of requests, with one request id per answer."""

    at: datetime
    model: str
    role: str
    versions: Mapping[str, int]
    request_ids: Sequence[str]
    predictions: Predictions

    @property
    def rows(self) -> int:
        """Number of predictions; rows that were answered with an error are not counted."""
        return len(self.predictions.positions)


class PredictionLog:
    """The buffer and its writer.

    Args:
        max_rows: rows that may wait in the buffer.
        seconds: how often the buffer is written; sooner at `BATCH_ROWS` rows.
    """

    def __init__(self, lake: Lake, metrics: Metrics, *, max_rows: int, seconds: float) -> None:
        self._lake, self._metrics, self._max_rows, self._seconds = lake, metrics, max_rows, seconds
        self._entries: list[Entry] = []
        self._rows = 0
        self._lock, self._wake, self._stopping = Lock(), Event(), False
        self._writer = Thread(target=self._write, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Start the thread that writes."""
        self._writer.start()

    def stop(self) -> None:
        """Write what is buffered and end the thread."""
        self._stopping = True
        self._wake.set()
        self._writer.join()

    def add(self, entry: Entry) -> None:
        """Buffer the predictions of a batch, or count them as dropped if the buffer is full."""
        rows = entry.rows
        if not rows:
            return
        with self._lock:
            fits = self._rows + rows <= self._max_rows
            if fits:
                self._entries.append(entry)
                self._rows += rows
        if not fits:
            self._metrics.dropped.inc(rows)
        elif self._rows >= BATCH_ROWS:
            self._wake.set()

    def _write(self) -> None:
        while not self._stopping:
            self._wake.wait(self._seconds)
            self._wake.clear()
            self.flush()
        self.flush()
        if self._rows:
            self._metrics.dropped.inc(self._rows)
            log.error("%s predictions could not be logged before the service ended", self._rows)

    def flush(self) -> None:
        """Write the buffer to the lake; if that fails, it is kept for the next time."""
        with self._lock:
            entries = list(self._entries)
        if not entries:
            return
        rows = sum(entry.rows for entry in entries)
        try:
            self._lake.append(PREDICTIONS, _table(entries), partition=["day"])
        except Exception:
            # Whatever the cause (a full disk, an unreachable bucket), predictions continue.
            log.exception("predictions could not be logged; %s rows wait", rows)
            return
        with self._lock:
            del self._entries[: len(entries)]
            self._rows -= rows
        self._metrics.logged.inc(rows)


def _table(entries: Sequence[Entry]) -> pa.Table:
    """One row per prediction, in `SCHEMA`."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for entry in entries:
        predictions, rows = entry.predictions, entry.rows
        columns["at"] += [entry.at] * rows
        columns["day"] += [entry.at.date()] * rows
        columns["model"] += [entry.model] * rows
        columns["role"] += [entry.role] * rows
        columns["versions"] += [json.dumps(dict(entry.versions))] * rows
        columns["request_id"] += [entry.request_ids[at] for at in predictions.positions]
        inputs = zip(*predictions.inputs.values(), strict=True)
        columns["inputs"] += [
            json.dumps(dict(zip(predictions.inputs, row, strict=True)), default=str) for row in inputs
        ]
        columns["output"] += [predictions.answers[at].model_dump_json() for at in predictions.positions]
    return pa.table(columns, schema=SCHEMA)
