"""CSV that people open in a spreadsheet: written so that no cell starts a formula, and read back unchanged.

A spreadsheet computes a cell that begins with `=`, `+`, `-` or `@`, whoever wrote it (CWE-1236). Such a cell is written
with an apostrophe before it, as OWASP advises, unless it is just a number; reading takes the apostrophe off again, so
that what was written is what is read. Every CSV that leaves the product for people goes through here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from pipeline.errors import UsageError

# A cell of a delivery may have megabytes; the limit of the library, 131,072 characters, is one for the whole process.
csv.field_size_limit(2**31 - 1)

_STARTS_FORMULA = re.compile(r"'*\s*[\t\r\n=+\-@＝＋－＠]")
"""What begins a formula, also in full width; with apostrophes before it so that prefixing can be undone."""
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]{1,3})?")
_ESCAPED = re.compile(rf"'{_STARTS_FORMULA.pattern}")
_NEEDS_QUOTES = re.compile(r'[",\r\n;\t]|^\s|\s$')
"""Also what other spreadsheets separate cells by, so that no part of a cell becomes a cell of its own."""


def escape_cell(cell: str) -> str:
    """Prefix a cell that a spreadsheet would take for a formula with an apostrophe."""
    return f"'{cell}" if _STARTS_FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unescape_cell(cell: str) -> str:
    """Undo `escape_cell`. A cell that was typed without an apostrophe is returned as it is."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def write_csv(rows: Iterable[Sequence[object]]) -> str:
    """Write rows for people: no cell starts a formula, each line ends with a line feed; None is an empty cell."""
    return join_cells([escape_cell("" if cell is None else str(cell)) for cell in row] for row in rows)


def read_csv(text: str, where: str) -> list[list[str]]:
    """Read what `write_csv` wrote, whatever a spreadsheet made of its line ends; blank lines are left out.

    Args:
        text: the CSV.
        where: its name, for messages.

    Raises:
        UsageError: if it is no CSV.
    """
    return [[unescape_cell(cell) for cell in row] for row in split_cells(text, where)]


def join_cells(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as they are, for a program that reads them."""
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def split_cells(text: str, where: str) -> list[list[str]]:
    """Read rows as they are; see `read_csv`."""
    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise UsageError("The file is no CSV", where=where, observed=error, todo="save it as CSV in UTF-8") from error


def _quoted(cell: str) -> str:
    # The library leaves a carriage return within a cell without quotes, and reads it as the end of the row.
    return '"{}"'.format(cell.replace('"', '""')) if _NEEDS_QUOTES.search(cell) else cell
