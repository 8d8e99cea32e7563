"""Defects on request: what a till, a network or a person does to a delivery, planted where we know it.

Works on the CSV bytes of our own deliveries (comma, UTF-8, a header, no line break inside a field). Bytes of rows that
get no defect stay as they were, except where the whole file is what is wrong.
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
    """Everything that can be planted: first the kinds that spoil a row, then those that spoil the file."""

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
    """One defect: `row` counts from 1 below the header (None: the file), `value` is what now stands there."""

    defect: Defect
    row: int | None = None
    column: str | None = None
    value: str | None = None


def _day_first(stamp: str) -> str:
    return datetime.fromisoformat(stamp).strftime("%d/%m/%Y %H:%M")


# Column, and the text that takes the place of what was there.
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
_SHORT = 4  # fields that are left of a short row


def parse_defects(text: str) -> dict[Defect, int]:
    """Read `negative_price:3,nan_price` (rows each; one where no number is given).

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
            "unknown defects", observed=", ".join(faults), allowed="name or name:rows, of " + ", ".join(Defect)
        )
    return wanted


def plant(data: bytes, defects: Mapping[Defect, int], seed: int = 7) -> tuple[bytes, list[Planted]]:
    """Plant `defects` (kind -> number of rows) in a delivery: each in a row of its own, chosen by `seed`.

    Returns:
        the new bytes, and exactly what was planted, by row.

    Raises:
        UsageError: more defects than rows; or a defect of the file beside another one, which it could hide.
    """
    of_file = [defect for defect in defects if defect in FILE_DEFECTS]
    if of_file:
        if len(defects) > 1 or defects[of_file[0]] != 1:
            raise UsageError("a defect of the whole file stands alone", observed=", ".join(defects), allowed=of_file[0])
        return _spoil_file(data, of_file[0])

    lines = data.splitlines(keepends=True)
    kinds = [defect for defect, count in defects.items() for _ in range(count)]
    if len(kinds) > len(lines) - 1:
        raise UsageError("more defects than rows", observed=len(kinds), allowed=f"at most {max(len(lines) - 1, 0)}")
    if not kinds:
        return data, []
    header = _fields(lines[0])
    rows = np.random.default_rng(seed).choice(np.arange(1, len(lines)), len(kinds), replace=False).tolist()
    planted = []
    for row, defect in zip(rows, kinds, strict=True):
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
        raise UsageError("nothing to spoil", observed=f"{len(lines)} lines", allowed="a header and at least a row")
    if defect is Defect.EMPTY_FILE:
        return b"", [Planted(defect)]
    if defect is Defect.HEADER_ONLY:
        return lines[0], [Planted(defect)]
    if defect is Defect.TRUNCATED:  # in the second field of a row past the middle, as when a connection breaks
        row = len(lines) // 2 if len(lines) > 2 else 1
        cut = lines[row].index(b",") + 3
        return b"".join(lines[:row]) + lines[row][:cut], [Planted(defect, row)]
    if defect is Defect.WRONG_ENCODING:  # one letter that UTF-8 writes differently, then a Windows code page
        table = [_fields(line) for line in lines]
        at = table[0].index("Description")
        table[1][at] = "CAFÉ BOWL"
        spoilt = _join(table).decode().encode("cp1252")
        return spoilt, [Planted(defect, 1, "Description", table[1][at])]
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
