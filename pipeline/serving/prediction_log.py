"""The log of predictions, a table of the lake: inputs, output, model versions and time of every prediction.

A request only puts references into a bounded buffer; a thread turns them into rows and appends them, one commit per
batch. Predictions that do not fit into the buffer are dropped and counted: the log never makes a request slow or fail.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
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
BATCH_BYTES, MAX_BYTES = 32_000_000, 128_000_000
"""Likewise in bytes of memory, and how many may wait."""
MAX_ROW_CHARACTERS = 65_536
"""Of inputs and output together; a prediction with more is not logged."""
MAX_TEXT = 64
"""Characters of an input that is a text."""
_OWN_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """The predictions of one batch of requests, with one request id per answer.

    `personal` are the inputs that are left out.
    """

    at: datetime
    model: str
    role: str
    versions: Mapping[str, int]
    request_ids: Sequence[str]
    predictions: Predictions
    personal: frozenset[str] = field(default=frozenset())

    @property
    def rows(self) -> int:
        """Number of predictions; rows that were answered with an error are not counted."""
        return len(self.predictions.positions)

    @cached_property
    def size(self) -> int:
        """About how many bytes of memory it takes: objects take some four times the length of their JSON."""
        if not self.rows:
            return 0
        output = len(self.predictions.answers[self.predictions.positions[0]].model_dump_json())
        return self.rows * (4 * output + 32 * len(self.predictions.inputs))


class PredictionLog:
    """The buffer and its writer.

    Args:
        max_rows: rows that may wait in the buffer.
        seconds: how often the buffer is written; sooner at `BATCH_ROWS` rows.
    """

    def __init__(self, lake: Lake, metrics: Metrics, *, max_rows: int, seconds: float) -> None:
        self._lake, self._metrics, self._max_rows, self._seconds = lake, metrics, max_rows, seconds
        self._entries: list[Entry] = []
        self._rows = self._bytes = 0
        self._lock, self._flushing, self._wake, self._stopping = Lock(), Lock(), Event(), False
        self._writer = Thread(target=self._write, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Start the thread that writes."""
        self._writer.start()

    def hurry(self) -> None:
        """Let the thread write what is buffered now, without waiting for it."""
        self._wake.set()

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
            fits = self._rows + rows <= self._max_rows and self._bytes + entry.size <= MAX_BYTES
            if fits:
                self._entries.append(entry)
                self._rows += rows
                self._bytes += entry.size
        if not fits:
            self._metrics.dropped.inc(rows)
        elif self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
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
        """Write the buffer to the lake, in batches; what cannot be written is kept for the next time."""
        with self._flushing:
            while (entries := self._next_batch()) and self._append(entries):
                with self._lock:
                    del self._entries[: len(entries)]
                    self._rows -= sum(entry.rows for entry in entries)
                    self._bytes -= sum(entry.size for entry in entries)

    def _next_batch(self) -> list[Entry]:
        """The oldest entries: at least one, if there is any, and about a batch."""
        with self._lock:
            entries, rows, size = list[Entry](), 0, 0
            for entry in self._entries:
                rows, size = rows + entry.rows, size + entry.size
                if entries and (rows > BATCH_ROWS or size > BATCH_BYTES):
                    break
                entries.append(entry)
            return entries

    def _append(self, entries: Sequence[Entry]) -> bool:
        """Write entries in one commit, and say whether that was possible."""
        rows = sum(entry.rows for entry in entries)
        try:
            table = _table(entries)
            if table.num_rows:
                self._lake.append(PREDICTIONS, table, partition=["day"])
        except Exception:
            # Whatever the cause (a full disk, an unreachable bucket), predictions continue.
            log.exception("predictions could not be logged; %s rows wait", rows)
            return False
        self._metrics.logged.inc(table.num_rows)
        if dropped := rows - table.num_rows:
            self._metrics.dropped.inc(dropped)
            log.warning("%s predictions are longer than %s characters and were not logged", dropped, MAX_ROW_CHARACTERS)
        return True


def stored_id(request_id: str) -> str:
    """A request id as it is logged: a UUID as it is, anything else, which a client has chosen, as a hash."""
    return request_id if _OWN_ID.fullmatch(request_id) else blake2b(request_id.encode(), digest_size=16).hexdigest()


def _table(entries: Sequence[Entry]) -> pa.Table:
    """One row per prediction, in `SCHEMA`; those that are too long are left out."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for entry in entries:
        versions = json.dumps(dict(entry.versions))
        for request_id, inputs, output in _texts(entry):
            if len(inputs) + len(output) > MAX_ROW_CHARACTERS:
                continue
            row = (entry.at, entry.at.date(), entry.model, entry.role, versions, request_id, inputs, output)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return pa.table(columns, schema=SCHEMA)


def _texts(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Request id, inputs and output of each prediction, inputs and output as JSON."""
    predictions = entry.predictions
    names = [name for name in predictions.inputs if name not in entry.personal]
    ids = {request_id: stored_id(request_id) for request_id in set(entry.request_ids)}
    for at, *values in zip(predictions.positions, *(predictions.inputs[name] for name in names), strict=True):
        inputs = json.dumps(dict(zip(names, map(_plain, values), strict=True)), default=str, allow_nan=False)
        yield ids[entry.request_ids[at]], inputs, predictions.answers[at].model_dump_json()


def _plain(value: Any) -> Any:
    """A value as JSON may hold it: null for NaN and infinity, and a text cut to its bound."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value[:MAX_TEXT] if isinstance(value, str) else value
