"""Parse workbooks and Parquet files in a process of their own, whose memory and processor time are limited.

Their parsers are native code. What a damaged or hostile file does to them, from a crash to a demand of terabytes, ends
that process and refuses that file. The process is started for the first such file and serves the next ones too, so that
many small files cost one start, half a second; after a large file it ends, because it would keep the memory.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Literal

import pyarrow as pa

from pipeline.errors import RefusedError
from pipeline.logs import log_event

log = logging.getLogger(__name__)

_START = "import sys; sys.path.insert(0, sys.argv[1]); from pipeline.ingestion.reader_process import serve; serve()"
"""Not `-m`, which would need a working directory or an environment in which the package is found."""


def read_apart(kind: Literal["xlsx", "parquet"], data: bytes, name: str, max_bytes: int, sheet: str | None) -> pa.Table:
    """Parse a workbook or a Parquet file in a process of its own.

    Args:
        kind: which of the two.
        data: the file's bytes.
        name: its name, for messages.
        max_bytes: how many bytes it may have when it is unpacked.
        sheet: the sheet of a workbook; None for the only one.

    Returns:
        Its columns as text.

    Raises:
        RefusedError: if the file is refused, or if the process ends or fails for whatever reason.
    """
    with _lock:
        process = _running()
        try:
            return process.read(kind, data, name, max_bytes, sheet)
        finally:
            if process.last:
                close()


@dataclass
class _Process:
    """The running process.

    Attributes:
        process: its pipes.
        last: whether it has given its last answer.
    """

    process: subprocess.Popen[bytes]
    last: bool = False

    def read(self, kind: str, data: bytes, name: str, max_bytes: int, sheet: str | None) -> pa.Table:
        request = {"kind": kind, "name": name, "sheet": sheet, "max_bytes": max_bytes, "size": len(data)}
        try:
            _pipe(self.process.stdin).write(json.dumps(request).encode() + b"\n")
            _pipe(self.process.stdin).write(data)
            _pipe(self.process.stdin).flush()
            answer = json.loads(_pipe(self.process.stdout).readline())
            self.last = answer["last"]
            if answer["outcome"] == "rows":
                return pa.ipc.open_stream(_pipe(self.process.stdout)).read_all()
        except (OSError, ValueError) as error:
            # A closed pipe, or half an answer: pyarrow's errors are ValueErrors too.
            raise self._ended(name, kind) from error
        if answer["outcome"] == "refused":
            raise RefusedError(**answer["refusal"])
        raise unreadable(name, kind, answer["error"])

    def _ended(self, name: str, kind: str) -> RefusedError:
        self.last = True
        # It may still run, after half an answer; an end of its own is not changed by this.
        self.process.kill()
        code = self.process.wait()
        ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        log_event(log, "parser ended", logging.WARNING, file=name, kind=kind, ending=ending)
        return unreadable(
            name, kind, f"its parser ended with {ending}, as when it needs more memory than a file of this size may"
        )


def unreadable(name: str, kind: str, error: str) -> RefusedError:
    """The error for a file that makes its parser fail in a way that no check foresees."""
    return RefusedError(
        f"The delivery cannot be read as {kind}",
        where=name,
        observed=error,
        todo="ask the source to send it again; it is damaged, or far larger inside than it seems",
    )


def close() -> None:
    """End the process, if one is running."""
    global _current
    process, _current = _current, None
    if process is not None:
        for pipe in (process.process.stdin, process.process.stdout):
            with suppress(OSError):
                _pipe(pipe).close()
        process.process.kill()
        process.process.wait()


_lock = Lock()
_current: _Process | None = None
atexit.register(close)
os.register_at_fork(after_in_child=lambda: _forget())


def _forget() -> None:
    """Leave the process to the one that started it: a fork shares its pipes."""
    global _current, _lock
    _current, _lock = None, Lock()


def _running() -> _Process:
    global _current
    if _current is None or _current.process.poll() is not None:
        root = str(Path(__file__).resolve().parents[2])
        started = subprocess.Popen(  # noqa: S603 (this interpreter, and constants)
            [sys.executable, "-c", _START, root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # What native code prints before it aborts is no message for people.
            stderr=subprocess.DEVNULL,
        )
        _current = _Process(started)
    return _current


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("the process has no pipe")
    return pipe
