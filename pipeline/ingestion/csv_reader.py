"""CSV as rows of text. A file that was cut off is recognised and refused; a line that cannot be split is reported."""

from __future__ import annotations

import codecs
import csv as text_csv
import io
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from pipeline.errors import RefusedError
from pipeline.ingestion.csv_blocks import SENTINEL, Batch, Text, split
from pipeline.ingestion.limits import refuse_columns
from pipeline.ingestion.rows import Rows, empty_delivery
from pipeline.ingestion.source_schema import Format

CHUNK_BYTES = 1 << 20
SHOWN_BYTES = 60
"""How much of the end of a file that was cut off a message quotes."""
MAX_HEADER_BYTES = 1 << 24
# Python's reader, which reads the header, has a limit of its own for a cell.
text_csv.field_size_limit(2**31 - 1)


def read_csv(stream: BinaryIO, name: str, form: Format) -> Iterator[Rows]:
    """Read CSV batch by batch.

    Args:
        stream: the file's bytes.
        name: the file's name, for messages.
        form: its delimiter and encoding, and whether its last line must have an end.

    Returns:
        At least one batch, which may be empty. The last one is returned after the end of the file was checked.

    Raises:
        RefusedError: if it is truncated, has another encoding or delimiter, too many columns or too many lines that
            cannot be split.
    """
    with TemporaryFile() as copy:
        text = _copy_as_utf8(stream, copy, name, form.encoding)
        _refuse_wide_header(copy, name, form.delimiter)
        copy.seek(0, io.SEEK_END)
        copy.write((b"" if text.ended else b"\n") + SENTINEL.encode() + b"\n")
        copy.seek(0)
        yield from _check_end(split(copy, text, name, form), text, name, form)


def _copy_as_utf8(stream: BinaryIO, copy: IO[bytes], name: str, encoding: str) -> Text:
    """Copy a file as UTF-8.

    Raises:
        RefusedError: if it is blank, or not in its encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    as_it_is = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii")
    size, lines, blank, quoted, tail = 0, 0, True, False, b""
    fault: RefusedError | None = None
    while True:
        chunk = stream.read(CHUNK_BYTES)
        if fault is None:
            pending = decoder.getstate()[0]
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                at = size - len(pending) + error.start
                line = lines + (pending + chunk).count(b"\n", 0, error.start) + 1
                fault = _wrong_encoding(f"{name}, line {line}, byte {at}", error, encoding)
        if not chunk:
            break
        size, lines, blank = size + len(chunk), lines + chunk.count(b"\n"), blank and chunk.isspace()
        if fault is None:
            written = chunk if as_it_is else text.encode()
            quoted = quoted or b'"' in written
            tail = (tail + written)[-SHOWN_BYTES:]
            copy.write(written)
    if blank:
        raise empty_delivery(name, f"{size} bytes")
    if fault is not None:
        raise fault
    return Text(tail.endswith((b"\n", b"\r")), quoted, tail)


def _check_end(batches: Iterator[Batch], text: Text, name: str, form: Format) -> Iterator[Rows]:
    """Hold the last rows and lines back until the end of the file was seen, and take the sentinel out."""
    held = next(batches)
    columns = held.table.column_names
    for batch in batches:
        if batch.end > batch.before and held.end > held.before:
            yield held.rows()
        held = batch if batch.end > batch.before else held
    table, malformed = held.table, list(held.malformed)
    if malformed and malformed[-1].text == SENTINEL:
        malformed.pop()
    elif len(columns) == 1 and table.num_rows and table[0][-1].as_py() == SENTINEL:
        table = table.slice(0, table.num_rows - 1)
    else:
        raise _truncated("inside a quoted field", text.tail, held.end, name)
    last = Batch(table, malformed, held.before)
    last_is_malformed = bool(malformed) and malformed[-1].row == last.end
    if not text.ended and (last_is_malformed or form.final_newline == "required"):
        raise _truncated("in the middle of a line", text.tail, last.end, name)
    _refuse_other_delimiter(columns, name, form)
    yield last.rows()


def _refuse_wide_header(copy: IO[bytes], name: str, delimiter: str) -> None:
    """Check the number of columns before Arrow makes a builder of several kilobytes for each.

    Raises:
        RefusedError: if there are too many, or the header does not end.
    """
    copy.seek(0)
    first = copy.readline(MAX_HEADER_BYTES)
    if b'"' not in first and b"\r" not in first[:-2] and first.strip():
        refuse_columns(first.count(delimiter.encode()) + 1, name)
        return

    copy.seek(0)
    text = io.TextIOWrapper(copy, "utf-8", newline="")

    def lines() -> Iterator[str]:
        left = MAX_HEADER_BYTES
        while line := text.readline(left):
            yield line
            left -= len(line)
            if left <= 0:
                raise RefusedError(
                    "The delivery's header is too long, or a quote in it is never closed",
                    where=f"{name}, line 1",
                    observed=f"more than {MAX_HEADER_BYTES:,} characters",
                    allowed=f"{MAX_HEADER_BYTES:,} characters",
                    todo="ask the source to send it again",
                )

    try:
        header = next((row for row in text_csv.reader(lines(), delimiter=delimiter) if row), [])
    finally:
        text.detach()
    refuse_columns(len(header), name)


def _wrong_encoding(where: str, error: UnicodeDecodeError, encoding: str) -> RefusedError:
    return RefusedError(
        f"The delivery is not in the encoding {encoding!r}",
        where=where,
        observed=f"the bytes {error.object[error.start : error.start + 4]!r}",
        allowed=encoding,
        todo="set format.encoding in sources.yaml (cp1252 is common for files saved on Windows)",
    )


def _refuse_other_delimiter(names: list[str], name: str, form: Format) -> None:
    others = [mark for mark in (",", ";", "\t", "|") if mark != form.delimiter and mark in names[0]]
    if len(names) == 1 and others:
        raise RefusedError(
            "The delivery has another delimiter than sources.yaml says",
            where=f"{name}, line 1",
            observed=f"one column {names[0][:80]!r}, which looks separated by {others[0]!r}",
            allowed=repr(form.delimiter),
            todo="set format.delimiter in sources.yaml",
        )


def _truncated(place: str, tail: bytes, row: int, name: str) -> RefusedError:
    todo = "it was truncated, or a quote is never closed: ask the source to send it again"
    if place == "in the middle of a line":
        todo = (
            "it was truncated: ask the source to send it again; "
            "if this source never ends its last line, set format.final_newline: optional in sources.yaml"
        )
    return RefusedError(
        f"The delivery ends {place}",
        where=f"{name}, row {row}",
        observed=repr(tail.decode(errors="replace")),
        allowed="a line end after the last row",
        todo=todo,
    )
