"""CSV as rows of text. A file that was cut off is recognised and refused; a line that cannot be split is reported."""

from __future__ import annotations

import codecs
import csv as text_csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from pipeline.errors import RefusedError
from pipeline.ingestion.limits import refuse_columns
from pipeline.ingestion.rows import BATCH_ROWS, Malformed, Rows, empty_delivery
from pipeline.ingestion.source_schema import Format

MAX_ROW_BYTES = 1 << 26
CHUNK_BYTES = 1 << 20
SHOWN_BYTES = 60
"""How much of the end of a file that was cut off a message quotes."""
MAX_HEADER_BYTES = 1 << 24
MAX_MALFORMED = 1_000_000
"""How many lines may have the wrong number of fields. Each is kept as an object, which takes far more memory than two
bytes of a file."""
# Python's reader, which reads the header, has a limit of its own for a cell.
text_csv.field_size_limit(2**31 - 1)
_SENTINEL = "\x1eend of delivery\x1e"
"""A line added at the end. If it is not read as a line of its own, the delivery ends inside a quoted field."""


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
        copy.write((b"" if text.ended else b"\n") + _SENTINEL.encode() + b"\n")
        copy.seek(0)
        yield from _check_end(_split(copy, text, name, form), text, name, form)


@dataclass(frozen=True)
class _Text:
    """What is known of a whole file before it is split: whether its last line has an end, whether it has quotes."""

    ended: bool
    quoted: bool
    tail: bytes


@dataclass(frozen=True)
class _Batch:
    """A batch of rows, the lines that could not be split since the batch before, and the rows before both."""

    table: pa.Table
    malformed: list[Malformed]
    before: int

    @property
    def end(self) -> int:
        """The number of the last row."""
        return self.before + int(self.table.num_rows) + len(self.malformed)

    def rows(self) -> Rows:
        """The batch with the number of each row."""
        numbers = np.delete(
            np.arange(self.before + 1, self.end + 1), [line.row - self.before - 1 for line in self.malformed]
        )
        return Rows(self.table, pa.array(numbers, pa.int64()), tuple(self.malformed))


def _copy_as_utf8(stream: BinaryIO, copy: IO[bytes], name: str, encoding: str) -> _Text:
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
    return _Text(tail.endswith((b"\n", b"\r")), quoted, tail)


def _split(copy: IO[bytes], text: _Text, name: str, form: Format) -> Iterator[_Batch]:
    """Split a file into rows, batch by batch; the first batch may be empty."""
    malformed: list[Malformed] = []
    noted = 0

    def note(row: csv.InvalidRow) -> str:
        nonlocal noted
        if noted == MAX_MALFORMED:
            return "error"
        noted += 1
        fault = f"{row.actual_columns} fields instead of {row.expected_columns}"
        malformed.append(Malformed(row.number - 1, row.text, fault))
        return "skip"

    first_malformed = ""
    before = 0
    try:
        reader = csv.open_csv(
            copy,
            # Arrow numbers rows only when it reads with one thread; a block must hold the longest row.
            read_options=csv.ReadOptions(use_threads=False, block_size=MAX_ROW_BYTES),
            parse_options=csv.ParseOptions(
                delimiter=form.delimiter, newlines_in_values=text.quoted, invalid_row_handler=note
            ),
            convert_options=csv.ConvertOptions(
                default_column_type=pa.string(),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        if reader.schema.names == [_SENTINEL]:
            raise empty_delivery(name, "no line")
        yield _Batch(reader.schema.empty_table(), [], 0)
        for block in reader:
            for start in range(0, block.num_rows, BATCH_ROWS):
                table = pa.Table.from_batches([block.slice(start, BATCH_ROWS)])
                own = _lines_among(malformed, before, table.num_rows)
                first_malformed = first_malformed or _named(malformed)
                del malformed[: len(own)]
                batch = _Batch(table, own, before)
                yield batch
                before = batch.end
    except pa.ArrowInvalid as error:
        if noted == MAX_MALFORMED:
            raise RefusedError(
                "Too many lines of the delivery have the wrong number of fields",
                where=name,
                observed=f"more than {MAX_MALFORMED:,}, the first in {first_malformed or _named(malformed)}",
                allowed=f"{MAX_MALFORMED:,}",
                todo="ask the source to put cells with separators in quotes, or set format.delimiter in sources.yaml",
            ) from error
        raise RefusedError(
            "The delivery is not readable as CSV",
            where=name,
            observed=str(error),
            allowed=f"rows of at most {MAX_ROW_BYTES} bytes, separated by {form.delimiter!r}",
        ) from error
    yield _Batch(reader.schema.empty_table(), malformed, before)


def _named(malformed: list[Malformed]) -> str:
    return f"row {malformed[0].row}: {malformed[0].fault}" if malformed else ""


def _lines_among(malformed: list[Malformed], before: int, rows: int) -> list[Malformed]:
    """Return the lines among the next `rows` rows; lines are in order, and those after the rows are not returned."""
    count = 0
    while count < len(malformed) and malformed[count].row <= before + rows + count:
        count += 1
    return malformed[:count]


def _check_end(batches: Iterator[_Batch], text: _Text, name: str, form: Format) -> Iterator[Rows]:
    """Hold the last rows and lines back until the end of the file was seen, and take the sentinel out."""
    held = next(batches)
    columns = held.table.column_names
    for batch in batches:
        if batch.end > batch.before and held.end > held.before:
            yield held.rows()
        held = batch if batch.end > batch.before else held
    table, malformed = held.table, list(held.malformed)
    if malformed and malformed[-1].text == _SENTINEL:
        malformed.pop()
    elif len(columns) == 1 and table.num_rows and table[0][-1].as_py() == _SENTINEL:
        table = table.slice(0, table.num_rows - 1)
    else:
        raise _truncated("inside a quoted field", text.tail, held.end, name)
    last = _Batch(table, malformed, held.before)
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
