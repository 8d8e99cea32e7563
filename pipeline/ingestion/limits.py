"""How large a delivery may become when it is unpacked and parsed, so that a small file cannot fill the memory."""

from __future__ import annotations

from pipeline.errors import RefusedError

MAX_COLUMNS = 10_000
MAX_GROWTH = 50
"""How many times its size a packed file may have when it is unpacked; lines of a till are packed about 10 times."""
FREE_BYTES = 1 << 26
"""Up to here (64 MiB), a file may grow by any factor."""
FREE_CELLS = 4_000_000
MAX_SHEET_ROWS = 1 << 20
CELLS_PER_BYTE = 16
"""How many cells a workbook or Parquet file may have for each of its bytes, beyond `FREE_CELLS`; lines of a till have
one or two."""


def refuse_growth(size: int, packed: int, name: str, max_bytes: int) -> None:
    """Check how large a packed file is when it is unpacked, or how much of it is unpacked so far.

    Args:
        size: its bytes when it is unpacked.
        packed: its bytes as it came, or those that were unpacked so far.
        name: its name, for messages.
        max_bytes: the largest size that is allowed, `AISLE_MAX_DELIVERY_BYTES`.

    Raises:
        RefusedError: if it is larger than allowed, or has grown more than data does.
    """
    refuse_size(size, name, max_bytes)
    if size > max(FREE_BYTES, MAX_GROWTH * packed):
        raise RefusedError(
            "The delivery grows more than data does when it is unpacked",
            where=name,
            observed=f"more than {max(FREE_BYTES, MAX_GROWTH * packed):,} bytes from {packed:,}",
            allowed=f"{FREE_BYTES:,} bytes, or {MAX_GROWTH} times its size",
            todo="ask the source what it sent; if it is right, deliver it unpacked",
        )


def refuse_size(size: int, name: str, max_bytes: int) -> None:
    """Check the size of a delivery in bytes.

    Raises:
        RefusedError: if it is larger than allowed.
    """
    if size > max_bytes:
        raise RefusedError(
            "The delivery is too large",
            where=name,
            observed=f"more than {max_bytes:,} bytes",
            allowed=f"{max_bytes:,} bytes (AISLE_MAX_DELIVERY_BYTES)",
            todo="deliver it in several files, or raise AISLE_MAX_DELIVERY_BYTES if the machine has the memory",
        )


def refuse_columns(columns: int, name: str) -> None:
    """Check the number of columns.

    Raises:
        RefusedError: if there are more than allowed.
    """
    if columns > MAX_COLUMNS:
        raise RefusedError(
            "The delivery has too many columns",
            where=name,
            observed=f"{columns:,}",
            allowed=f"{MAX_COLUMNS:,}",
            todo="ask the source for one row for each line of an invoice, visit or day, not one column",
        )


def refuse_rows(rows: int, name: str) -> None:
    """Check the number of rows of a workbook's sheet, all of which are in memory at once.

    Raises:
        RefusedError: if there are more than a sheet of Excel has.
    """
    if rows > MAX_SHEET_ROWS:
        raise RefusedError(
            "The workbook has too many rows",
            where=name,
            observed=f"{rows:,}",
            allowed=f"{MAX_SHEET_ROWS:,}, as many as a sheet of Excel has",
            todo="deliver it as CSV or Parquet, or in several workbooks",
        )


def refuse_cells(rows: int, columns: int, size: int, name: str) -> None:
    """Check the dimensions of a workbook's sheet or a Parquet file against its size in bytes.

    Raises:
        RefusedError: if it has more columns than allowed, or more cells than a file of its size can hold.
    """
    refuse_columns(columns, name)
    allowed = max(FREE_CELLS, CELLS_PER_BYTE * size)
    if rows * columns > allowed:
        raise RefusedError(
            "The delivery has more cells than data of its size",
            where=name,
            observed=f"{rows:,} rows of {columns:,} columns in {size:,} bytes",
            allowed=f"{allowed:,} cells",
            todo="ask the source what it sent; a cell far away from the others makes a sheet that large",
        )
