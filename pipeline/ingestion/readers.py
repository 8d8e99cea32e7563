"""A delivery's bytes, as rows of text: CSV, XLSX and Parquet, plain or gzipped.

Everything is read as text, whatever the form, so that the same rows give the same table from each; what text means
is the business of `pipeline.ingestion.mapping`. What makes a delivery as a whole unreadable refuses it; what concerns
one row is reported with the row.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from pipeline.errors import RefusedError
from pipeline.ingestion.sources import Format

MAX_ROW_BYTES = 1 << 26
_END = "\x1eend of delivery\x1e"
"""A last line of our own. Where it is not read as a line, a quoted field swallowed it: the delivery ends inside one."""


@dataclass(frozen=True)
class Malformed:
    """A line that has the wrong number of fields."""

    row: int
    text: str
    fault: str


@dataclass(frozen=True)
class Rows:
    """What a delivery says, as text.

    Attributes:
        table: one string column for each of the source's columns; a missing value is null.
        numbers: the 1-based position of each row of `table` among all the delivery's rows.
        malformed: the rows that could not be split into columns.
    """

    table: pa.Table
    numbers: pa.Array
    malformed: tuple[Malformed, ...] = ()

    @property
    def read(self) -> int:
        """How many rows the delivery has, readable or not."""
        return int(self.table.num_rows) + len(self.malformed)


def read_rows(data: bytes, name: str, form: Format) -> Rows:
    """Read a delivery.

    Args:
        data: its bytes as they were landed.
        name: its file name, for messages and to tell gzip.
        form: what `sources.yaml` says of its form.

    Raises:
        RefusedError: if it is empty, truncated, in another encoding or with another delimiter than said, has a column
            twice, or is a workbook in which it is not said which sheet is meant.
    """
    if name.endswith(".gz"):
        data = _decompress(data, name)
    if not data.strip():
        raise _empty(name, f"{len(data)} bytes")
    match form.type:
        case "csv":
            rows = _read_csv(data, name, form)
        case "xlsx":
            rows = _read_xlsx(data, name, form)
        case "parquet":
            rows = _read_parquet(data, name)
    _refuse_double_columns(rows.table.column_names, name)
    if rows.read == 0:
        raise RefusedError(
            "The delivery has a header and no rows",
            where=name,
            observed="0 rows",
            allowed="at least one row",
            todo="ask for it again, or name the weekday under closed_on in sources.yaml if the shop is closed then",
        )
    return rows


def _decompress(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RefusedError(
            "The gzip file is damaged or ends early", where=name, observed=str(error), todo="ask for it again"
        ) from error


def _read_csv(data: bytes, name: str, form: Format) -> Rows:
    data = _as_utf8(data, name, form.encoding)
    ended = data.endswith((b"\n", b"\r"))
    malformed: list[Malformed] = []

    def note(row: csv.InvalidRow) -> str:
        fault = f"{row.actual_columns} fields instead of {row.expected_columns}"
        malformed.append(Malformed(row.number - 1, row.text, fault))
        return "skip"

    try:
        table = csv.read_csv(
            io.BytesIO(data + (b"" if ended else b"\n") + _END.encode() + b"\n"),
            # One thread, or rows would have no numbers; one block must hold the longest row.
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
        raise RefusedError(
            "The delivery is not readable as CSV",
            where=name,
            observed=str(error),
            allowed=f"rows of at most {MAX_ROW_BYTES} bytes, separated by {form.delimiter!r}",
        ) from error
    if table.column_names == [_END]:
        raise _empty(name, "no line")
    if malformed and malformed[-1].text == _END:
        malformed.pop()
    elif table.num_columns == 1 and table.num_rows and table[0][-1].as_py() == _END:
        table = table.slice(0, table.num_rows - 1)
    else:
        raise _truncated("inside a quoted field", data, table.num_rows + len(malformed), name)
    cut = bool(malformed) and malformed[-1].row == table.num_rows + len(malformed)
    if not ended and (cut or form.final_newline == "required"):
        raise _truncated("in the middle of a line", data, table.num_rows + len(malformed), name)
    _refuse_other_delimiter(table.column_names, name, form)
    numbers = np.delete(np.arange(1, table.num_rows + len(malformed) + 1), [line.row - 1 for line in malformed])
    return Rows(table, pa.array(numbers, pa.int64()), tuple(malformed))


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


def _refuse_double_columns(names: list[str], where: str) -> None:
    double = sorted(name for name, count in Counter(names).items() if count > 1)
    if double:
        raise RefusedError(
            "A column stands twice in the header",
            where=where,
            observed=", ".join(map(repr, double)),
            allowed="each name once",
            todo="ask the source to name its columns apart",
        )


def _truncated(place: str, data: bytes, row: int, name: str) -> RefusedError:
    todo = "it was truncated, or a quote is never closed: ask for it again"
    if place == "in the middle of a line":
        todo = (
            "it was truncated: ask for it again; "
            "if this source never ends its last line, set format.final_newline: optional in sources.yaml"
        )
    return RefusedError(
        f"The delivery ends {place}",
        where=f"{name}, row {row}",
        observed=repr(data[-60:].decode(errors="replace")),
        allowed="a line end after the last row",
        todo=todo,
    )


def _empty(name: str, observed: str) -> RefusedError:
    return RefusedError("The delivery is empty", where=name, observed=observed, todo="ask for it again")


def _read_xlsx(data: bytes, name: str, form: Format) -> Rows:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except (CalamineError, zipfile.BadZipFile) as error:
        raise RefusedError(
            "The workbook is damaged or ends early", where=name, observed=str(error), todo="ask for it again"
        ) from error
    sheets = book.sheet_names
    if (form.sheet is None and len(sheets) > 1) or (form.sheet is not None and form.sheet not in sheets):
        raise RefusedError(
            "It is not said which sheet of the workbook is meant" if form.sheet is None else "The sheet is not there",
            where=name,
            observed=f"sheets {', '.join(sheets)}" + (f"; wanted {form.sheet}" if form.sheet else ""),
            todo="name one of them as format.sheet in sources.yaml",
        )
    cells = book.get_sheet_by_name(form.sheet or sheets[0]).to_python(skip_empty_area=True)
    # Like an empty line of a CSV, a row without a single cell is no row.
    cells = [row for row in cells if any(cell != "" for cell in row)]
    if not cells:
        raise _empty(f"{name}, sheet {form.sheet or sheets[0]}", "no cell")
    names = [_cell_text(cell) or "" for cell in cells[0]]
    _refuse_double_columns(names, name)
    columns = zip(*cells[1:], strict=True) if len(cells) > 1 else ([] for _ in names)
    table = pa.table(
        {n: pa.array([_cell_text(v) for v in column], pa.string()) for n, column in zip(names, columns, strict=True)}
    )
    return Rows(table, pa.array(range(1, table.num_rows + 1), pa.int64()))


def _cell_text(value: object) -> str | None:
    """A cell as it would stand in a CSV; a spreadsheet knows no whole numbers, so `6.0` is `6`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if value not in ("", None) else None


def _read_parquet(data: bytes, name: str) -> Rows:
    try:
        table = pq.read_table(io.BytesIO(data))
        text = [_column_text(column) for column in table.columns]
    except (pa.ArrowException, OSError) as error:
        raise RefusedError(
            "The delivery is not readable as Parquet, or ends early",
            where=name,
            observed=str(error),
            todo="ask for it again",
        ) from error
    return Rows(pa.table(text, table.column_names), pa.array(range(1, table.num_rows + 1), pa.int64()))


def _column_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        # Whole seconds are written without a fraction, as a CSV has them; nothing here is finer than microseconds.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        with suppress(pa.ArrowInvalid):
            column = column.cast(pa.timestamp("s", column.type.tz))
    text = column.cast(pa.string())
    if pa.types.is_floating(column.type):
        # Arrow would write 12345678901.0 as 1.2345678901e+10, which is no identifier.
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2**53))
        text = pc.if_else(whole, pc.if_else(whole, column, None).cast(pa.int64()).cast(pa.string()), text)
        # Who writes numbers without nulls writes NaN for what is missing; it must not become the customer "nan".
        text = pc.if_else(pc.is_nan(column), None, text)
    return pc.if_else(pc.equal(text, ""), None, text)
