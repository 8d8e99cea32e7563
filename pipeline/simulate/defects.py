"""Plant known defects in a delivery, as a till, a network or a person causes them.

The input is the CSV of the simulated shop (comma, UTF-8, a header, no line break inside a field). Rows without a defect
keep their bytes, except where the defect is one of the whole file.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HUGE_FIELD = 10 * 1024 * 1024  # characters


class Defect(StrEnum):
    """The defects that can be planted: first those of a row, then those of the whole file."""

    TEXT_QUANTITY = "text_quantity"
    FRACTIONAL_QUANTITY = "fractional_quantity"
    ZERO_QUANTITY = "zero_quantity"
    MISSING_QUANTITY = "missing_quantity"
    TEXT_PRICE = "text_price"
    NAN_PRICE = "nan_price"
    INFINITE_PRICE = "infinite_price"
    NEGATIVE_PRICE = "negative_price"
    MISSING_PRICE = "missing_price"
    MISSING_INVOICE = "missing_invoice"
    MISSING_STOCK_CODE = "missing_stock_code"
    MISSING_DATE = "missing_date"
    OTHER_DATE_FORMAT = "other_date_format"
    DATE_1900 = "date_1900"
    DATE_2999 = "date_2999"
    HUGE_DESCRIPTION = "huge_description"
    SHORT_ROW = "short_row"
    REPEATED_HEADER = "repeated_header"

    EMPTY_FILE = "empty_file"
    HEADER_ONLY = "header_only"
    TRUNCATED = "truncated"
    WRONG_DELIMITER = "wrong_delimiter"
    WRONG_ENCODING = "wrong_encoding"
    DUPLICATE_COLUMN = "duplicate_column"
    MISSING_COLUMN = "missing_column"
    EXTRA_COLUMN = "extra_column"


@dataclass(frozen=True)
class Planted:
    """A planted defect: its 1-based row below the header (None: the whole file), its column and the new value."""

    defect: Defect
    row: int | None = None
    column: str | None = None
    value: str | None = None


def _day_first(stamp: str) -> str:
    return datetime.fromisoformat(stamp).strftime("%d/%m/%Y %H:%M")


# The column, and its new text or a function of the old one.
_FIELDS: dict[Defect, tuple[str, str | Callable[[str], str]]] = {
    Defect.TEXT_QUANTITY: ("Quantity", "a dozen"),
    Defect.FRACTIONAL_QUANTITY: ("Quantity", "1.5"),
    Defect.ZERO_QUANTITY: ("Quantity", "0"),
    Defect.MISSING_QUANTITY: ("Quantity", ""),
    Defect.TEXT_PRICE: ("UnitPrice", "£2.55 each"),
    Defect.NAN_PRICE: ("UnitPrice", "NaN"),
    Defect.INFINITE_PRICE: ("UnitPrice", "inf"),
    Defect.NEGATIVE_PRICE: ("UnitPrice", "-2.55"),
    Defect.MISSING_PRICE: ("UnitPrice", ""),
    Defect.MISSING_INVOICE: ("InvoiceNo", ""),
    Defect.MISSING_STOCK_CODE: ("StockCode", ""),
    Defect.MISSING_DATE: ("InvoiceDate", ""),
    Defect.OTHER_DATE_FORMAT: ("InvoiceDate", _day_first),
    Defect.DATE_1900: ("InvoiceDate", "1900-01-01 00:00:00"),
    Defect.DATE_2999: ("InvoiceDate", "2999-12-31 00:00:00"),
    Defect.HUGE_DESCRIPTION: ("Description", lambda _: "X" * HUGE_FIELD),
}
ROW_DEFECTS = (*_FIELDS, Defect.SHORT_ROW, Defect.REPEATED_HEADER)
FILE_DEFECTS = tuple(defect for defect in Defect if defect not in ROW_DEFECTS)
_SHORT = 4  # number of fields of a short row


def parse_defects(text: str) -> dict[Defect, int]:
    """Parse `negative_price:3,nan_price` into the number of rows of each defect; one where no number is given.

    Raises:
        UsageError: naming every part that is not a known defect with a positive number.
    """
    wanted: dict[Defect, int] = {}
    faults = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, number = part.partition(":")
        if name in set(Defect) and (not number or (number.isdecimal() and int(number) > 0)):
            wanted[Defect(name)] = wanted.get(Defect(name), 0) + int(number or 1)
        else:
            faults.append(part)
    if faults:
        raise UsageError(
            "Unknown defects", observed=", ".join(faults), allowed="name or name:rows, of " + ", ".join(Defect)
        )
    return wanted


def plant(data: bytes, defects: Mapping[Defect, int], seed: int = 7) -> tuple[bytes, list[Planted]]:
    """Plant defects in a delivery, each in a row of its own.

    Args:
        data: the delivery's bytes.
        defects: the number of rows of each defect.
        seed: decides which rows.

    Returns:
        The new bytes, and what was planted, by row.

    Raises:
        UsageError: if there are more defects than rows, or a defect of the whole file with another, which it may hide.
    """
    file_defects = [defect for defect in defects if defect in FILE_DEFECTS]
    if file_defects:
        if len(defects) > 1 or defects[file_defects[0]] != 1:
            raise UsageError(
                "A defect of the whole file cannot be combined with others",
                observed=", ".join(defects),
                allowed=file_defects[0],
            )
        return _spoil_file(data, file_defects[0])

    lines = data.splitlines(keepends=True)
    wanted = [defect for defect, count in defects.items() for _ in range(count)]
    if len(wanted) > len(lines) - 1:
        raise UsageError(
            "There are more defects than rows", observed=len(wanted), allowed=f"at most {max(len(lines) - 1, 0)}"
        )
    if not wanted:
        return data, []
    header = _fields(lines[0])
    rows = np.random.default_rng(seed).choice(np.arange(1, len(lines)), len(wanted), replace=False).tolist()
    planted = []
    for row, defect in zip(rows, wanted, strict=True):
        fields = _fields(lines[row])
        if defect is Defect.SHORT_ROW:
            fields = fields[:_SHORT]
            planted.append(Planted(defect, row))
        elif defect is Defect.REPEATED_HEADER:
            fields = header
            planted.append(Planted(defect, row))
        else:
            column, value = _FIELDS[defect]
            at = header.index(column)
            fields[at] = value if isinstance(value, str) else value(fields[at])
            planted.append(Planted(defect, row, column, fields[at]))
        lines[row] = _line(fields)
    return b"".join(lines), sorted(planted, key=lambda p: p.row or 0)


def _spoil_file(data: bytes, defect: Defect) -> tuple[bytes, list[Planted]]:
    lines = data.splitlines(keepends=True)
    if len(lines) < 2:
        raise UsageError(
            "The delivery has no row to spoil", observed=f"{len(lines)} lines", allowed="a header and at least a row"
        )
    if defect is Defect.EMPTY_FILE:
        return b"", [Planted(defect)]
    if defect is Defect.HEADER_ONLY:
        return lines[0], [Planted(defect)]
    if defect is Defect.TRUNCATED:  # in the second field of a row past the middle
        row = len(lines) // 2 if len(lines) > 2 else 1
        cut = lines[row].index(b",") + 3
        return b"".join(lines[:row]) + lines[row][:cut], [Planted(defect, row)]
    if defect is Defect.WRONG_ENCODING:  # a letter that the two encodings write differently
        table = [_fields(line) for line in lines]
        at = table[0].index("Description")
        table[1][at] = "CAFÉ BOWL"
        encoded = _join(table).decode().encode("cp1252")
        return encoded, [Planted(defect, 1, "Description", table[1][at])]
    table = [_fields(line) for line in lines]
    if defect is Defect.WRONG_DELIMITER:
        return _join(table, delimiter=";"), [Planted(defect, value=";")]
    if defect is Defect.DUPLICATE_COLUMN:
        at = table[0].index("Quantity")
        return _join([[*fields, fields[at]] for fields in table]), [Planted(defect, column="Quantity")]
    if defect is Defect.MISSING_COLUMN:
        at = table[0].index("UnitPrice")
        return _join([fields[:at] + fields[at + 1 :] for fields in table]), [Planted(defect, column="UnitPrice")]
    extra = [[*table[0], "Till"], *([*fields, "1"] for fields in table[1:])]
    return _join(extra), [Planted(defect, column="Till")]


def _fields(line: bytes) -> list[str]:
    return next(csv.reader([line.decode()]))


def _line(fields: list[str], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()


def _join(table: list[list[str]], delimiter: str = ",") -> bytes:
    return b"".join(_line(fields, delimiter) for fields in table)
