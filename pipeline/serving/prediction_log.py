"""The log of predictions, a table of the lake: inputs, output, model versions and time of every prediction.

What was predicted is encoded at once, as texts, and every `PIECE_ROWS` rows of it become a piece in Arrow's memory: the
rows that wait are no objects that Python's garbage collector would have to walk, which paused all requests. A thread
appends the pieces to the table, one commit per batch; Delta does that work without the interpreter's lock. Predictions
that do not fit into the buffer are dropped and counted: the log never makes a request fail, or wait for the storage.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b
from threading import Event, Lock, Thread
from typing import Any, TypeAlias

import pyarrow as pa
from pydantic_core import to_json

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
Row: TypeAlias = tuple[datetime, date, str, str, str, str, str, str]
"""The values of a row in the order of `SCHEMA`. The garbage collector does not track a plain tuple of such values."""
PIECE_ROWS = 500
"""Rows of a piece; converting them to Arrow takes a quarter of a millisecond."""
BATCH_ROWS = 20_000
"""Buffered rows that are written at once, without waiting for the interval."""
BATCH_BYTES, MAX_BYTES = 32_000_000, 128_000_000
"""Likewise in bytes of memory, and how many may wait."""
ROW_BYTES = 200
"""About what a row takes beside its inputs and output."""
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


@dataclass(frozen=True)
class Piece:
    """Rows in `SCHEMA`, and about how many bytes of memory they take."""

    rows: pa.RecordBatch
    size: int


class PredictionLog:
    """The buffer and its writer.

    Args:
        max_rows: rows that may wait in the buffer.
        seconds: how often the buffer is written; sooner at `BATCH_ROWS` rows.
    """

    def __init__(self, lake: Lake, metrics: Metrics, *, max_rows: int, seconds: float) -> None:
        self._lake, self._metrics, self._max_rows, self._seconds = lake, metrics, max_rows, seconds
        self._pieces: list[Piece] = []
        self._newest: list[Row] = []
        """Rows that are not in a piece yet."""
        self._rows = self._bytes = self._too_long = 0
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
        rows = list(_rows(entry))
        size = sum(map(_size, rows))
        too_long = entry.rows - len(rows)
        with self._lock:
            self._too_long += too_long
            fits = self._rows + len(rows) <= self._max_rows and self._bytes + size <= MAX_BYTES
            if fits:
                self._newest += rows
                self._rows += len(rows)
                self._bytes += size
            complete = len(self._newest) >= PIECE_ROWS
            while len(self._newest) >= PIECE_ROWS:
                self._end_piece()
            # Not at each row: a lake that cannot be written would be tried again with every request.
            write = complete and (self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES)
        if dropped := too_long + (0 if fits else len(rows)):
            self._metrics.dropped.inc(dropped)
        if write:
            self._wake.set()

    def _end_piece(self) -> None:
        """Move the oldest rows, at most `PIECE_ROWS`, into a piece. The caller holds the lock."""
        rows = self._newest[:PIECE_ROWS]
        del self._newest[:PIECE_ROWS]
        columns = [
            pa.array(values, column.type) for column, values in zip(SCHEMA, zip(*rows, strict=True), strict=True)
        ]
        self._pieces.append(Piece(pa.RecordBatch.from_arrays(columns, schema=SCHEMA), sum(map(_size, rows))))

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
        """Write what the buffer holds now to the lake, in batches; what cannot be written is kept for the next time.

        What arrives meanwhile waits for the next time too, or busy hours would be written in a row of small commits.
        """
        with self._flushing:
            left = self._rows
            while left > 0 and (pieces := self._next_batch()) and self._append(pieces):
                written = sum(piece.rows.num_rows for piece in pieces)
                left -= written
                with self._lock:
                    del self._pieces[: len(pieces)]
                    self._rows -= written
                    self._bytes -= sum(piece.size for piece in pieces)
            with self._lock:
                too_long, self._too_long = self._too_long, 0
            if too_long:
                what = "%s predictions are longer than %s characters and were not logged"
                log.warning(what, too_long, MAX_ROW_CHARACTERS)

    def _next_batch(self) -> list[Piece]:
        """The oldest pieces: at least one, if any row waits, and about a batch."""
        with self._lock:
            if self._newest and self._rows <= BATCH_ROWS:
                self._end_piece()
            pieces, rows, size = list[Piece](), 0, 0
            for piece in self._pieces:
                rows, size = rows + piece.rows.num_rows, size + piece.size
                if pieces and (rows > BATCH_ROWS or size > BATCH_BYTES):
                    break
                pieces.append(piece)
            return pieces

    def _append(self, pieces: Sequence[Piece]) -> bool:
        """Write pieces in one commit, and say whether that was possible."""
        table = pa.Table.from_batches([piece.rows for piece in pieces])
        rows = table.num_rows
        try:
            self._lake.append(PREDICTIONS, table, partition=["day"])
        except Exception:
            # Whatever the cause (a full disk, an unreachable bucket), predictions continue.
            log.exception("predictions could not be logged; %s rows wait", rows)
            return False
        self._metrics.logged.inc(rows)
        return True


def stored_id(request_id: str) -> str:
    """A request id as it is logged: a UUID as it is, anything else, which a client has chosen, as a hash."""
    return request_id if _OWN_ID.fullmatch(request_id) else blake2b(request_id.encode(), digest_size=16).hexdigest()


def _rows(entry: Entry) -> Iterator[Row]:
    """One row per prediction, without those that are too long; inputs and output are JSON."""
    predictions = entry.predictions
    inputs = {name: map(_cut, values) for name, values in predictions.inputs.items() if name not in entry.personal}
    ids = {request_id: stored_id(request_id) for request_id in set(entry.request_ids)}
    day, versions = entry.at.date(), json.dumps(dict(entry.versions))
    for at, *values in zip(predictions.positions, *inputs.values(), strict=True):
        texts = (
            # JSON has no NaN and no infinity.
            to_json(dict(zip(inputs, values, strict=True)), inf_nan_mode="null", fallback=str).decode(),
            predictions.answers[at].model_dump_json(),
        )
        if sum(map(len, texts)) <= MAX_ROW_CHARACTERS:
            yield entry.at, day, entry.model, entry.role, versions, ids[entry.request_ids[at]], *texts


def _size(row: Row) -> int:
    """About how many bytes of memory a row takes."""
    *_, inputs, output = row
    return ROW_BYTES + len(inputs) + len(output)


def _cut(value: Any) -> Any:
    """A value as it is logged: a text is cut to its bound."""
    return value[:MAX_TEXT] if isinstance(value, str) else value
