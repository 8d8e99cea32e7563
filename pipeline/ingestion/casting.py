"""Cells of text, as values: one that is not what its column must be becomes null; the caller tells it from a gap."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import ARROW_TYPES, ColumnType

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
YEAR = r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
"""Python's calendar begins with the year 1."""
ISO_8601 = rf"^{YEAR}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{{1,6}})?)?)?$"
WORDS = {True: r"^(?i)(true|t|yes|y|1|1\.0)$", False: r"^(?i)(false|f|no|n|0|0\.0)$"}
WEEKDAY = re.compile("%[uwaA]")
LEADING_ZEROS = r"\b0+(?=\d)"
LARGEST_WHOLE = 2**53
"""Beyond it a float no longer knows each whole number."""


def trimmed(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells without blanks around them; an empty one is missing."""
    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def joined(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Trimmed cells of several columns as one, a blank between; numbers lose the `.0` that spreadsheets give them."""
    if len(columns) == 1:
        return columns[0]
    return trimmed(pc.binary_join_element_wise(*map(_identifiers, columns), " ", null_handling="replace"))


def replaced(text: pa.ChunkedArray, values: Mapping[str, str | None]) -> pa.ChunkedArray:
    """Trimmed cells with some words in place of others; `""` means a missing cell. Words not named stay."""
    if not values:
        return text
    at = pc.index_in(text, value_set=pa.array([word or None for word in values], pa.string()))
    return pc.if_else(pc.is_valid(at), pc.take(pa.array(values.values(), pa.string()), at), text)


def parse(
    text: pa.ChunkedArray, kind: ColumnType, *, decimal: str = ".", form: str | None = None, day_one: date | None = None
) -> pa.ChunkedArray:
    """Values of a kind.

    Args:
        text: trimmed cells.
        decimal: the decimal mark of numbers.
        form: strptime form of timestamps and dates; ISO 8601 when missing.
        day_one: where dates are numbers, the day that is number 1.

    Returns:
        Values of the kind's Arrow type; null where the text is missing or cannot be read.
    """
    match kind:
        case ColumnType.TEXT:
            return text
        case ColumnType.IDENTIFIER:
            return _identifiers(text)
        case ColumnType.NUMBER:
            return _numbers(text, decimal)
        case ColumnType.INTEGER:
            return _integers(_numbers(text, decimal))
        case ColumnType.TIMESTAMP:
            return _timestamps(text, form)
        case ColumnType.DATE:
            return _timestamps(text, form).cast(pa.date32(), safe=False) if day_one is None else _days(text, day_one)
        case ColumnType.BOOLEAN:
            return _booleans(text)


def _identifiers(text: pa.ChunkedArray) -> pa.ChunkedArray:
    # Most sources have none of these, and the replacement is dear.
    if not pc.any(pc.match_substring(text, ".0")).as_py():
        return text
    return pc.replace_substring_regex(text, pattern=r"^(\d+)\.0+$", replacement=r"\1")


def _numbers(text: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    pattern = NUMBER.replace(r"\.", decimal) if decimal != "." else NUMBER
    readable = _only(text, pc.match_substring_regex(text, pattern))
    if decimal != ".":
        readable = pc.replace_substring(readable, decimal, ".")
    numbers = readable.cast(pa.float64())
    return _only(numbers, pc.is_finite(numbers))


def _integers(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), LARGEST_WHOLE))
    return _only(numbers, whole).cast(pa.int64())


def _timestamps(text: pa.ChunkedArray, form: str | None) -> pa.ChunkedArray:
    readable = text if form else _only(text, pc.match_substring_regex(text, ISO_8601))
    cells = readable.to_pandas()
    if form and "%V" in form and not WEEKDAY.search(form):
        times = _mondays(cells, form)
    else:
        times = pd.to_datetime(cells, format=form or "ISO8601", errors="coerce")
    return pa.chunked_array([pa.array(times, ARROW_TYPES[ColumnType.TIMESTAMP], from_pandas=True)])


def _mondays(cells: pd.Series[str], form: str) -> pd.Series[pd.Timestamp]:
    """ISO weeks, each as its Monday."""
    times = pd.to_datetime(cells + " 1", format=f"{form} %u", errors="coerce")
    # pandas takes week 0 for one of the year before, so what was read must say again what stood there.
    again = times.dt.strftime(form).str.replace(LEADING_ZEROS, "", regex=True)
    return times.where(again == cells.str.replace(LEADING_ZEROS, "", regex=True))


def _days(text: pa.ChunkedArray, day_one: date) -> pa.ChunkedArray:
    numbers = _integers(_numbers(text, "."))
    last = (date.max - day_one).days + 1
    days = _only(numbers, pc.and_(pc.greater_equal(numbers, 1), pc.less_equal(numbers, last)))
    # A date is the days since 1970, in 32 bits.
    since = pc.add(days, (day_one - date(1970, 1, 1)).days - 1)
    return since.cast(pa.int32()).cast(pa.date32())


def _booleans(text: pa.ChunkedArray) -> pa.ChunkedArray:
    yes, no = (pc.match_substring_regex(text, WORDS[value]) for value in (True, False))
    return _only(yes, pc.or_(yes, no))


def _only(values: pa.ChunkedArray, where: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(where, values, pa.scalar(None, values.type))
