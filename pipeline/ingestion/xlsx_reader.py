"""A sheet of an Excel workbook as columns of text."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable

import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

from pipeline.errors import RefusedError
from pipeline.ingestion.limits import refuse_cells, refuse_growth, refuse_rows
from pipeline.ingestion.rows import empty_delivery, refuse_repeated_columns

BYTES_PER_BYTE = 16
"""How much memory reading takes at most, for each byte of the unpacked workbook; the shortest cell has 15 bytes."""


def read_xlsx(data: bytes, name: str, sheet: str | None, max_bytes: int, allow: Callable[[int], None]) -> pa.Table:
    """Read a sheet of a workbook; its first row that has a cell is the header.

    Args:
        data: the workbook's bytes.
        name: its file name, for messages.
        sheet: the sheet's name; None for the only one.
        max_bytes: how many bytes it may have when it is unpacked.
        allow: is told how much memory the workbook may need, in bytes, before it is parsed.

    Returns:
        Its columns as text.

    Raises:
        RefusedError: if the workbook is damaged, too large, does not have the sheet or has several of which none is
            named, or if the sheet is empty or has a column twice.
    """
    unpacked = _unpacked_size(data, name, max_bytes)
    allow(BYTES_PER_BYTE * unpacked)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except (CalamineError, zipfile.BadZipFile) as error:
        raise _damaged(error, name) from error
    chosen = _choose_sheet(book.sheet_names, name, sheet)
    try:
        found = book.get_sheet_by_name(chosen)
    except CalamineError as error:
        raise _damaged(error, name) from error
    refuse_rows(found.height, name)
    refuse_cells(found.height, found.width, unpacked, name)
    cells = found.to_python(skip_empty_area=True)
    # Like an empty line of a CSV, a row without a single cell is no row.
    cells = [row for row in cells if any(cell != "" for cell in row)]
    if not cells:
        raise empty_delivery(f"{name}, sheet {chosen}", "no cell")
    names = [_cell_text(cell) or "" for cell in cells[0]]
    refuse_repeated_columns(names, name)
    columns = zip(*cells[1:], strict=True) if len(cells) > 1 else ([] for _ in names)
    return pa.table(
        {n: pa.array([_cell_text(v) for v in column], pa.string()) for n, column in zip(names, columns, strict=True)}
    )


def _unpacked_size(data: bytes, name: str, max_bytes: int) -> int:
    """Check the parts of a workbook, and return how many bytes they have; one that is no archive is not packed."""
    if not data.startswith(b"PK"):
        return len(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            refuse_growth(size, len(data), name, max_bytes)
            # The parser stops at the end of the cells, before the checksum.
            if spoilt := archive.testzip():
                raise _damaged(f"the checksum of {spoilt} is wrong", name)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        # RuntimeError is what zipfile raises for an encrypted file.
        raise _damaged(error, name) from error
    return size


def _damaged(error: object, name: str) -> RefusedError:
    return RefusedError(
        "The workbook is damaged or ends early", where=name, observed=str(error), todo="ask the source to send it again"
    )


def _choose_sheet(sheets: list[str], name: str, wanted: str | None) -> str:
    if wanted in sheets:
        return wanted
    if wanted is None and len(sheets) == 1:
        return sheets[0]
    if not sheets:
        raise _damaged("it has no sheet", name)
    raise RefusedError(
        "The workbook has several sheets and none is named" if wanted is None else "The workbook has no such sheet",
        where=name,
        observed=f"sheets {', '.join(sheets)}" + (f"; wanted {wanted}" if wanted else ""),
        todo="name one of them as format.sheet in sources.yaml",
    )


def _cell_text(value: object) -> str | None:
    """A cell as a CSV has it. Workbooks store every number as a float, so `6.0` becomes `6`."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if value not in ("", None) else None
