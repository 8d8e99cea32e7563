"""A sheet of an Excel workbook as rows of text."""

from __future__ import annotations

import io
import zipfile

import pyarrow as pa

from pipeline.errors import RefusedError
from pipeline.ingestion.rows import Rows, empty_delivery, refuse_repeated_columns


def read_xlsx(data: bytes, name: str, sheet: str | None) -> Rows:
    """Read a sheet of a workbook; its first row that has a cell is the header.

    Args:
        data: the workbook's bytes.
        name: its file name, for messages.
        sheet: the sheet's name; None for the only one.

    Raises:
        RefusedError: if the workbook is damaged, does not have the sheet or has several of which none is named,
            or if the sheet is empty or has a column twice.
    """
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except (CalamineError, zipfile.BadZipFile) as error:
        raise RefusedError(
            "The workbook is damaged or ends early",
            where=name,
            observed=str(error),
            todo="ask the source to send it again",
        ) from error
    chosen = _choose_sheet(book.sheet_names, name, sheet)
    cells = book.get_sheet_by_name(chosen).to_python(skip_empty_area=True)
    # Like an empty line of a CSV, a row without a single cell is no row.
    cells = [row for row in cells if any(cell != "" for cell in row)]
    if not cells:
        raise empty_delivery(f"{name}, sheet {chosen}", "no cell")
    names = [_cell_text(cell) or "" for cell in cells[0]]
    refuse_repeated_columns(names, name)
    columns = zip(*cells[1:], strict=True) if len(cells) > 1 else ([] for _ in names)
    table = pa.table(
        {n: pa.array([_cell_text(v) for v in column], pa.string()) for n, column in zip(names, columns, strict=True)}
    )
    return Rows(table, pa.array(range(1, table.num_rows + 1), pa.int64()))


def _choose_sheet(sheets: list[str], name: str, wanted: str | None) -> str:
    if wanted in sheets:
        return wanted
    if wanted is None and len(sheets) == 1:
        return sheets[0]
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
