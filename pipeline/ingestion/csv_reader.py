"""CSV as rows of text. A file that was cut off is recognised and refused; a line that cannot be split is reported."""

from __future__ import annotations

import csv as text_csv
import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from pipeline.errors import RefusedError
from pipeline.ingestion.limits import refuse_columns
from pipeline.ingestion.rows import Malformed, Rows, empty_delivery
from pipeline.ingestion.source_schema import Format

MAX_ROW_BYTES = 1 << 26
MAX_HEADER_BYTES = 1 << 24
MAX_MALFORMED = 1_000_000
"""How many lines may have the wrong number of fields. Each is kept as an object, which takes far more memory than two
bytes of a file."""
# Python's reader, which reads the header, has a limit of its own for a cell.
text_csv.field_size_limit(2**31 - 1)
_SENTINEL = "\x1eend of delivery\x1e"
"""A line added at the end. If it is not read as a line of its own, the delivery ends inside a quoted field."""


def read_csv(data: bytes, name: str, form: Format) -> Rows:
    """Read CSV.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.
        form: its delimiter and encoding, and whether its last line must have an end.

    Raises:
        RefusedError: if it is truncated, has another encoding or delimiter, too many columns or too many lines that
            cannot be split.
    """
    data = _as_utf8(data, name, form.encoding)
    _refuse_wide_header(data, name, form.delimiter)
    ended = data.endswith((b"\n", b"\r"))
    table, malformed = _split(data + (b"" if ended else b"\n") + _SENTINEL.encode() + b"\n", name, form)
    if table.column_names == [_SENTINEL]:
        raise empty_delivery(name, "no line")
    if malformed and malformed[-1].text == _SENTINEL:
        malformed.pop()
    elif table.num_columns == 1 and table.num_rows and table[0][-1].as_py() == _SENTINEL:
        table = table.slice(0, table.num_rows - 1)
    else:
        raise _truncated("inside a quoted field", data, table.num_rows + len(malformed), name)
    total = table.num_rows + len(malformed)
    last_is_malformed = bool(malformed) and malformed[-1].row == total
    if not ended and (last_is_malformed or form.final_newline == "required"):
        raise _truncated("in the middle of a line", data, total, name)
    _refuse_other_delimiter(table.column_names, name, form)
    numbers = np.delete(np.arange(1, total + 1), [line.row - 1 for line in malformed])
    return Rows(table, pa.array(numbers, pa.int64()), tuple(malformed))


def _split(data: bytes, name: str, form: Format) -> tuple[pa.Table, list[Malformed]]:
    malformed: list[Malformed] = []

    def note(row: csv.InvalidRow) -> str:
        if len(malformed) == MAX_MALFORMED:
            return "error"
        fault = f"{row.actual_columns} fields instead of {row.expected_columns}"
        malformed.append(Malformed(row.number - 1, row.text, fault))
        return "skip"

    try:
        table = csv.read_csv(
            io.BytesIO(data),
            # Arrow numbers rows only when it reads with one thread; a block must hold the longest row.
            read_options=csv.ReadOptions(use_threads=False, block_size=MAX_ROW_BYTES),
            parse_options=csv.ParseOptions(
                delimiter=form.delimiter, newlines_in_values=b'"' in data, invalid_row_handler=note
            ),
            convert_options=csv.ConvertOptions(
                default_column_type=pa.string(),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        if len(malformed) == MAX_MALFORMED:
            raise RefusedError(
                "Too many lines of the delivery have the wrong number of fields",
                where=name,
                observed=f"more than {MAX_MALFORMED:,}, the first in row {malformed[0].row}: {malformed[0].fault}",
                allowed=f"{MAX_MALFORMED:,}",
                todo="ask the source to put cells with separators in quotes, or set format.delimiter in sources.yaml",
            ) from error
        raise RefusedError(
            "The delivery is not readable as CSV",
            where=name,
            observed=str(error),
            allowed=f"rows of at most {MAX_ROW_BYTES} bytes, separated by {form.delimiter!r}",
        ) from error
    return table, malformed


def _refuse_wide_header(data: bytes, name: str, delimiter: str) -> None:
    """Check the number of columns before Arrow makes a builder of several kilobytes for each.

    Raises:
        RefusedError: if there are too many, or the header does not end.
    """
    first = data[: data.find(b"\n") + 1 or None] if data.find(b"\n", 0, MAX_HEADER_BYTES) >= 0 else data
    if b'"' not in first and b"\r" not in first[:-2] and first.strip():
        refuse_columns(first.count(delimiter.encode()) + 1, name)
        return

    def lines() -> Iterator[str]:
        stream, left = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""), MAX_HEADER_BYTES
        while line := stream.readline(left):
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

    header = next((row for row in text_csv.reader(lines(), delimiter=delimiter) if row), [])
    refuse_columns(len(header), name)


def _as_utf8(data: bytes, name: str, encoding: str) -> bytes:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RefusedError(
            f"The delivery is not in the encoding {encoding!r}",
            where=f"{name}, line {line}, byte {error.start}",
            observed=f"the bytes {data[error.start : error.start + 4]!r}",
            allowed=encoding,
            todo="set format.encoding in sources.yaml (cp1252 is common for files saved on Windows)",
        ) from error
    return data if encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii") else text.encode()


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


def _truncated(place: str, data: bytes, row: int, name: str) -> RefusedError:
    todo = "it was truncated, or a quote is never closed: ask the source to send it again"
    if place == "in the middle of a line":
        todo = (
            "it was truncated: ask the source to send it again; "
            "if this source never ends its last line, set format.final_newline: optional in sources.yaml"
        )
    return RefusedError(
        f"The delivery ends {place}",
        where=f"{name}, row {row}",
        observed=repr(data[-60:].decode(errors="replace")),
        allowed="a line end after the last row",
        todo=todo,
    )
