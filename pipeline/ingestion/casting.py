"""Parse columns of text cells into typed values. A cell that cannot be read becomes null, like a missing one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import ARROW_TYPES, ColumnType

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
PLACEHOLDER = r"^(?i)(nan|nat|none|null|<na>)$"
"""What programs write in place of a missing value; no customer is called so."""
UNSEEN = r"[\x00-\x1f\x7f-\x9f\x{ad}\x{61c}\x{180e}\x{200b}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}]"
"""Control characters, and those that have no width or change the direction of the text: two identifiers that differ in
them look alike. The joiners that some scripts need (U+200C, U+200D) are not among them."""
YEAR = r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
"""The years of Python's calendar, 1 to 9999."""
ISO_8601 = rf"^{YEAR}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{{1,6}})?)?)?$"
BOOLEANS = {True: r"^(?i)(true|t|yes|y|1|1\.0)$", False: r"^(?i)(false|f|no|n|0|0\.0)$"}
WEEKDAY_DIRECTIVE = re.compile("%[uwaA]")
MAX_FORMAT = 100
"""Characters of a strptime format."""
LEADING_ZEROS = r"\b0+(?=\d)"
MAX_EXACT_INTEGER = 2**53
"""The largest number up to which a float holds every whole number exactly."""


def trimmed(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strip blanks around cells; a cell that is empty then is missing."""
    text = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def joined(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Join the trimmed cells of several columns with a blank between; `2010.0`, as spreadsheets have it, is `2010`."""
    if len(columns) == 1:
        return columns[0]
    return trimmed(pc.binary_join_element_wise(*map(_identifiers, columns), " ", null_handling="replace"))


def without_placeholders(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Make the words that programs write for a missing value missing; for identifiers, because a text may be a word."""
    placeholder = pc.match_substring_regex(text, PLACEHOLDER)
    return _where(text, pc.invert(placeholder)) if pc.any(placeholder).as_py() else text


def replaced(text: pa.ChunkedArray, values: Mapping[str, str | None]) -> pa.ChunkedArray:
    """Replace cells by `values`; the key `""` stands for a missing cell. Cells that are no key stay as they are."""
    if not values:
        return text
    at = pc.index_in(text, value_set=pa.array([word or None for word in values], pa.string()))
    return pc.if_else(pc.is_valid(at), pc.take(pa.array(values.values(), pa.string()), at), text)


def parse(
    text: pa.ChunkedArray,
    of_type: ColumnType,
    *,
    decimal: str = ".",
    form: str | None = None,
    day_one: date | None = None,
) -> pa.ChunkedArray:
    """Parse cells as values of a type.

    Args:
        text: trimmed cells.
        decimal: the decimal mark of numbers.
        form: strptime form of timestamps and dates; ISO 8601 when missing.
        day_one: the date of day number 1, where dates are numbers.

    Returns:
        Values of the Arrow type that `ARROW_TYPES` names; null where the text is missing or cannot be read.
    """
    match of_type:
        case ColumnType.TEXT:
            return text
        case ColumnType.IDENTIFIER:
            identifiers = without_placeholders(_identifiers(text))
            unseen = pc.match_substring_regex(identifiers, UNSEEN)
            return _where(identifiers, pc.invert(unseen)) if pc.any(unseen).as_py() else identifiers
        case ColumnType.NUMBER:
            return _numbers(text, decimal)
        case ColumnType.INTEGER:
            return integers(_numbers(text, decimal))
        case ColumnType.TIMESTAMP:
            return _timestamps(text, form)
        case ColumnType.DATE:
            return _timestamps(text, form).cast(pa.date32(), safe=False) if day_one is None else _days(text, day_one)
        case ColumnType.BOOLEAN:
            return _booleans(text)


def format_fault(form: str) -> str | None:
    """Return why a strptime format cannot be used, or None if it can."""
    if len(form) > MAX_FORMAT:
        return f"it is longer than {MAX_FORMAT} characters"
    try:
        _timestamps(pa.chunked_array([pa.array(["2025-01-31 10:00:00", "2025 05"])]), form)
    except Exception as error:  # noqa: BLE001
        # pandas compiles it into a regular expression, and what that raises depends on the directive.
        return f"{error}"
    return None


def integers(numbers: pa.ChunkedArray, tolerance: float = 0.0) -> pa.ChunkedArray:
    """Convert float64 to int64; numbers that are not whole or beyond 2^53 become null.

    Args:
        tolerance: by how much, relative to its size, a number may differ from a whole one.
    """
    nearest = pc.round(numbers)
    is_whole = pc.less_equal(pc.abs(pc.subtract(numbers, nearest)), pc.multiply(pc.abs(nearest), tolerance))
    return _where(nearest, pc.and_(is_whole, pc.less(pc.abs(nearest), MAX_EXACT_INTEGER))).cast(pa.int64())


def _identifiers(text: pa.ChunkedArray) -> pa.ChunkedArray:
    # Most columns have no such cell, and the replacement is slow.
    if not pc.any(pc.match_substring(text, ".0")).as_py():
        return text
    return pc.replace_substring_regex(text, pattern=r"^(\d+)\.0+$", replacement=r"\1")


def _numbers(text: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    pattern = NUMBER.replace(r"\.", decimal) if decimal != "." else NUMBER
    readable = _where(text, pc.match_substring_regex(text, pattern))
    if decimal != ".":
        readable = pc.replace_substring(readable, decimal, ".")
    numbers = readable.cast(pa.float64())
    return _where(numbers, pc.is_finite(numbers))


def _timestamps(text: pa.ChunkedArray, form: str | None) -> pa.ChunkedArray:
    # The lines of an invoice have the same time, so each distinct text is parsed once.
    distinct = text.combine_chunks().dictionary_encode()
    words = pa.chunked_array([distinct.dictionary])
    cells = (words if form else _where(words, pc.match_substring_regex(words, ISO_8601))).to_pandas()
    if form and "%V" in form and not WEEKDAY_DIRECTIVE.search(form):
        times = _mondays(cells, form)
    else:
        times = pd.to_datetime(cells, format=form or "ISO8601", errors="coerce", cache=False)
    parsed = pa.array(times, ARROW_TYPES[ColumnType.TIMESTAMP], from_pandas=True)
    return pa.chunked_array([parsed.take(distinct.indices)])


def _mondays(cells: pd.Series[str], form: str) -> pd.Series[pd.Timestamp]:
    """Parse ISO weeks (`%G %V`), each as its Monday."""
    times = pd.to_datetime(cells + " 1", format=f"{form} %u", errors="coerce")
    # pandas reads week 0 as a week of the year before, so only dates that format back to the cell are kept.
    written = times.dt.strftime(form).str.replace(LEADING_ZEROS, "", regex=True)
    return times.where(written == cells.str.replace(LEADING_ZEROS, "", regex=True))


def _days(text: pa.ChunkedArray, day_one: date) -> pa.ChunkedArray:
    numbers = integers(_numbers(text, "."))
    last = (date.max - day_one).days + 1
    days = _where(numbers, pc.and_(pc.greater_equal(numbers, 1), pc.less_equal(numbers, last)))
    # Arrow stores a date as days since 1970, in 32 bits.
    since_1970 = pc.add(days, (day_one - date(1970, 1, 1)).days - 1)
    return since_1970.cast(pa.int32()).cast(pa.date32())


def _booleans(text: pa.ChunkedArray) -> pa.ChunkedArray:
    yes, no = (pc.match_substring_regex(text, BOOLEANS[value]) for value in (True, False))
    return _where(yes, pc.or_(yes, no))


def _where(values: pa.ChunkedArray, mask: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(mask, values, pa.scalar(None, values.type))
