"""CSV for people: no cell starts a formula, and what was written is what is read."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.reports.csv_text import escape_cell, join_cells, read_csv, split_cells, unescape_cell, write_csv

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"[-+][0-9.,eE+-]*[0-9]")
CELLS = st.text(
    alphabet=st.one_of(st.sampled_from("'=+-@\t\r\n\",; ax１＝"), st.characters(codec="utf-8")), max_size=12
)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=5), min_size=1, max_size=6)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("before", ["", " ", "'", "''"], ids=["plain", "blank", "apostrophe", "two apostrophes"])
def test_no_cell_starts_a_formula(start: str, before: str) -> None:
    cell = f"{before}{start}HYPERLINK(1)"
    (written,) = split_cells(write_csv([[cell]]), "x")[0]
    assert written == f"'{cell}"
    assert read_csv(write_csv([[cell]]), "x") == [[cell]]


@pytest.mark.parametrize("cell", ["a=1", "'quoted'", "1", "-1", "+1.5e-3", "-1,5", "", "O'Neill", "'"])
def test_other_cells_are_written_as_they_are(cell: str) -> None:
    assert escape_cell(cell) == unescape_cell(cell) == cell


@given(ROWS)
def test_what_was_written_is_what_is_read(rows: list[list[str]]) -> None:
    text = write_csv(rows)
    assert read_csv(text, "x") == rows
    cells = [cell.lstrip(" ") for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert all(not cell.startswith(STARTS) or NUMBER.fullmatch(cell) for cell in cells)
    assert split_cells(join_cells(rows), "x") == rows


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n\n"])
def test_line_ends_of_spreadsheets_are_read(end: str) -> None:
    assert read_csv(write_csv([["a", "b"], ["1", "2"]]).replace("\n", end), "x") == [["a", "b"], ["1", "2"]]


def test_a_cell_of_megabytes_is_read() -> None:
    rows = [["a", "=" + "x" * 3_000_000]]
    assert read_csv(write_csv(rows), "x") == rows


def test_none_is_an_empty_cell() -> None:
    assert write_csv([[None, 1]]) == ",1\n"


def test_what_is_no_csv_is_refused() -> None:
    # Another module of the process may have set another limit.
    limit = csv.field_size_limit(10)
    try:
        with pytest.raises(UsageError, match="no CSV"):
            read_csv("a," + "x" * 100, "x")
    finally:
        csv.field_size_limit(limit)
