"""Every prediction in the lake: what was asked, what was said, by which version, when.

Answering only puts references into a bounded buffer; a thread turns them into rows and appends them, a commit a batch.
What does not fit, or cannot be written before the buffer is full, is dropped and counted: a log never makes a request
slow or fail.
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
"""`model` is the served one's name, `versions` JSON of registered model -> version, `inputs` and `output` JSON of what
the model was asked and what was answered."""
BATCH_ROWS = 20_000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """The predictions of one batch of requests. `request_ids` run along the answers."""

    at: datetime
    model: str
    role: str
    versions: Mapping[str, int]
    request_ids: Sequence[str]
    said: Predictions

    @property
    def rows(self) -> int:
        """How many predictions; rows that were refused are none."""
        return len(self.said.positions)


class PredictionLog:
    """The buffer and its writer.

    Args:
        most: rows that may wait.
        seconds: how often what waits is written; sooner when much does.
    """

    def __init__(self, lake: Lake, metrics: Metrics, *, most: int, seconds: float) -> None:
        self._lake, self._metrics, self._most, self._seconds = lake, metrics, most, seconds
        self._entries: list[Entry] = []
        self._rows = 0
        self._lock, self._wake, self._stopping = Lock(), Event(), False
        self._writer = Thread(target=self._write, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._writer.start()

    def stop(self) -> None:
        """Write what waits and end."""
        self._stopping = True
        self._wake.set()
        self._writer.join()

    def add(self, entry: Entry) -> None:
        """Remember a batch's predictions, if there is room."""
        rows = entry.rows
        if not rows:
            return
        with self._lock:
            fits = self._rows + rows <= self._most
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
            log.error("%s predictions could not be logged before the end", self._rows)

    def flush(self) -> None:
        """Write what waits; if that fails it waits on."""
        with self._lock:
            entries = list(self._entries)
        if not entries:
            return
        rows = sum(entry.rows for entry in entries)
        try:
            self._lake.append(PREDICTIONS, _table(entries), partition=["day"])
        except Exception:
            # Whatever it is (a full disk, a bucket that is away), predictions go on.
            log.exception("predictions could not be logged; %s rows wait", rows)
            return
        with self._lock:
            del self._entries[: len(entries)]
            self._rows -= rows
        self._metrics.logged.inc(rows)


def _table(entries: Sequence[Entry]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for entry in entries:
        said, rows = entry.said, entry.rows
        columns["at"] += [entry.at] * rows
        columns["day"] += [entry.at.date()] * rows
        columns["model"] += [entry.model] * rows
        columns["role"] += [entry.role] * rows
        columns["versions"] += [json.dumps(dict(entry.versions))] * rows
        columns["request_id"] += [entry.request_ids[at] for at in said.positions]
        asked = zip(*said.inputs.values(), strict=True)
        columns["inputs"] += [json.dumps(dict(zip(said.inputs, row, strict=True)), default=str) for row in asked]
        columns["output"] += [said.answers[at].model_dump_json() for at in said.positions]
    return pa.table(columns, schema=SCHEMA)
