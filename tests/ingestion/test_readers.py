"""Readers: complete and damaged deliveries, in every file format."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import errno
import gzip
import io
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from pipeline.errors import RefusedError
from pipeline.ingestion import csv_blocks, csv_reader, limits
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.rows import Rows
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.xlsx_reader import read_xlsx
from pipeline.simulate.defects import HUGE_FIELD

CSV = Format(type="csv")
XLSX = Format(type="xlsx")
PARQUET = Format(type="parquet")
ROWS = [["536365", "WHITE, HANGING", "6"], ["536366", 'SIGN "HOME"\nSWEET HOME', "-1"], ["C536379", None, "01"]]
HEADER = ["InvoiceNo", "Description", "Quantity"]


def as_csv(rows: list[list[Any]], *, delimiter: str = ",", end: str = "\n", header: list[str] = HEADER) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerows([header, *rows])
    return out.getvalue().encode()


def as_xlsx(sheets: dict[str, list[list[Any]]]) -> bytes:
    book, out = Workbook(write_only=True), io.BytesIO()
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(out)
    return out.getvalue()


def as_parquet(columns: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def cells(rows: Rows) -> list[list[Any]]:
    return [list(row.values()) for row in rows.table.to_pylist()]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_of_any_delimiter_and_line_end(delimiter: str, end: str) -> None:
    rows = read_rows(as_csv(ROWS, delimiter=delimiter, end=end), "x.csv", Format(type="csv", delimiter=delimiter))
    assert rows.table.column_names == HEADER
    assert cells(rows) == ROWS
    assert rows.numbers.to_pylist() == [1, 2, 3]
    assert rows.total_rows == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_csv_of_any_encoding(encoding: str) -> None:
    data = "a,é\nCAFÉ £,2\n".encode(encoding)
    rows = read_rows(data, "x.csv", Format(type="csv", encoding=encoding))
    assert rows.table.to_pylist() == [{"a": "CAFÉ £", "é": "2"}]


def test_a_byte_order_mark_is_not_part_of_the_first_name() -> None:
    assert read_rows(b"\xef\xbb\xbfa,b\n1,2\n", "x.csv", CSV).table.column_names == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [b"\n\r\na,b\n01,2\n", b"a,b\n\n01,2\n\n\n", b'"a",b\n01,2\n', b'"a",b\n"01","2"\n'],
    ids=["blank lines first", "blank lines between and last", "quoted name", "quoted cells"],
)
def test_cells_stay_text_whatever_is_around_them(data: bytes) -> None:
    assert read_rows(data, "x.csv", CSV).table.to_pylist() == [{"a": "01", "b": "2"}]


def test_a_header_may_be_long_and_hold_line_breaks() -> None:
    name = "long\nname" * 20_000
    assert read_rows(f'"{name}",b\n1,2\n'.encode(), "x.csv", CSV).table.column_names == [name, "b"]


def test_quotes_inside_a_cell_belong_to_it() -> None:
    assert cells(read_rows(b'a,b\n6" plate,1\n"6"" plate",2\n', "x.csv", CSV)) == [['6" plate', "1"], ['6" plate', "2"]]


def test_every_format_may_be_gzipped() -> None:
    plain = as_csv(ROWS)
    assert cells(read_rows(gzip.compress(plain), "x.csv.gz", CSV)) == ROWS
    book = as_xlsx({"one": [HEADER, *ROWS]})
    assert cells(read_rows(gzip.compress(book), "x.xlsx.gz", XLSX)) == ROWS


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_the_one_file_of_a_zip_archive_is_read() -> None:
    plain = as_csv(ROWS)
    assert cells(read_rows(zipped({"x.csv": plain}), "x.zip", CSV)) == ROWS
    assert cells(read_rows(zipped({"folder/": b"", "folder/x.csv.gz": gzip.compress(plain)}), "x.zip", CSV)) == ROWS
    assert cells(read_rows(zipped({"x.xlsx": as_xlsx({"one": [HEADER, *ROWS]})}), "x.zip", XLSX)) == ROWS
    clutter = {"__MACOSX/._x.csv": b"?", ".DS_Store": b"?"}
    assert cells(read_rows(zipped({"x.csv": plain, **clutter}), "x.zip", CSV)) == ROWS


def test_a_zip_archive_of_several_files_or_none_is_refused() -> None:
    files = {"customers.csv": b"a\n1\n", "lines.csv": b"a\n1\n"}
    assert "observed: customers.csv, lines.csv" in refused(zipped(files), "x.zip", CSV, "exactly one file")
    assert "observed: no file" in refused(zipped({"folder/": b""}), "x.zip", CSV, "exactly one file")


def test_a_damaged_or_encrypted_zip_archive_is_refused() -> None:
    whole = zipped({"x.csv": as_csv(ROWS)})
    refused(whole[:-30], "x.zip", CSV, "damaged, encrypted or ends early")
    refused(b"a,b\n1,2\n", "x.zip", CSV, "damaged, encrypted or ends early")
    encrypted = bytearray(whole)
    encrypted[6] |= 1  # the flag in the entry's header and in the archive's directory
    encrypted[whole.index(b"PK\x01\x02") + 8] |= 1
    assert "password" in refused(bytes(encrypted), "x.zip", CSV, "damaged, encrypted or ends early")
    spoilt = bytearray(whole)
    spoilt[45] ^= 0xFF
    refused(bytes(spoilt), "x.zip", CSV, "damaged, encrypted or ends early")
    refused(zipped({"x.csv": b""}), "x.zip", CSV, "is empty")


@given(st.lists(st.lists(st.sampled_from(["", "a", "b c", "1.5"]), min_size=1, max_size=6), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_every_row_is_in_the_table_or_malformed(lines: list[list[str]]) -> None:
    lines = [line for line in lines if line != [""]] or [["a"]]
    data = ("a,b,c\n" + "".join(",".join(line) + "\n" for line in lines)).encode()
    rows = read_rows(data, "x.csv", CSV)
    wrong = {n for n, line in enumerate(lines, 1) if len(line) != 3}
    assert rows.total_rows == len(lines)
    assert {m.row for m in rows.malformed} == wrong
    assert rows.numbers.to_pylist() == [n for n in range(1, len(lines) + 1) if n not in wrong]
    assert cells(rows) == [[cell or None for cell in line] for line in lines if len(line) == 3]
    assert [m.text for m in rows.malformed] == [",".join(line) for line in lines if len(line) != 3]


@pytest.mark.parametrize("long_row", [0, 1, 100, 105, 199])
@pytest.mark.parametrize("quoted", [False, True])
def test_rows_keep_their_numbers_across_blocks(monkeypatch: pytest.MonkeyPatch, quoted: bool, long_row: int) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 100)
    lines = [f"{n}" if n % 7 == 0 else f'"{n}\n",x' if quoted else f"{n},x" for n in range(1, 200)]
    if long_row:
        lines[long_row - 1] += "x" * 300
    rows = read_rows(("a,b\n" + "\n".join(lines) + "\n").encode(), "x.csv", CSV)
    assert [m.row for m in rows.malformed] == list(range(7, 200, 7))
    texts = rows.table["b"].to_pylist() + [line.text for line in rows.malformed]
    assert sum(text.endswith("x" * 300) for text in texts) == bool(long_row)
    assert [int(a) for a in rows.table["a"].to_pylist()] == rows.numbers.to_pylist()


def test_a_malformed_row_has_its_fault() -> None:
    (line,) = read_rows(b"a,b\n1,2\n3\n4,5\n", "x.csv", CSV).malformed
    assert (line.row, line.text, line.fault) == (2, "3", "1 fields instead of 2")


def test_a_header_in_the_middle_is_a_row_like_any_other() -> None:
    assert cells(read_rows(b"a,b\n1,2\na,b\n3,4\n", "x.csv", CSV))[1] == ["a", "b"]


def refused(data: bytes, name: str, form: Format, what: str) -> str:
    with pytest.raises(RefusedError, match=what) as refusal:
        read_rows(data, name, form)
    assert refusal.value.where.startswith(name)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "form"), [("x.csv", CSV), ("x.csv.gz", CSV), ("x.xlsx", XLSX), ("x.parquet", PARQUET)]
)
@pytest.mark.parametrize("data", [b"", b"  \n\r\n"])
def test_an_empty_file_is_refused(name: str, form: Format, data: bytes) -> None:
    refused(gzip.compress(data) if name.endswith("gz") else data, name, form, "is empty")


def test_a_byte_order_mark_alone_is_empty() -> None:
    refused(b"\xef\xbb\xbf", "x.csv", CSV, "is empty")


def test_a_header_alone_is_refused() -> None:
    assert "closed_on" in refused(b"a,b\n", "x.csv", CSV, "a header and no rows")
    refused(as_xlsx({"one": [HEADER]}), "x.xlsx", XLSX, "a header and no rows")
    refused(as_parquet({"a": pa.array([], pa.string())}), "x.parquet", PARQUET, "a header and no rows")


def test_a_sheet_without_cells_is_refused() -> None:
    refused(as_xlsx({"one": []}), "x.xlsx", XLSX, "is empty")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_cut_at_any_byte_is_refused_or_whole_up_to_a_line(end: str) -> None:
    rows = [["1", "a,b", 'say "x"'], ["2", "two\nlines\n", "é"], ["3", "", "0"], ["4", "last\n", '"']]
    data = as_csv(rows, end=end)
    ends = {len(as_csv(rows[:n], end=end)): n for n in range(len(rows) + 1)}
    # A cut between CR and LF removes no content.
    ends |= {place - 1: n for place, n in ends.items() if end == "\r\n"}
    for cut in range(len(data) + 1):
        try:
            read = read_rows(data[:cut], "x.csv", CSV)
        except RefusedError:
            assert ends.get(cut, 0) == 0, cut
        else:
            assert cells(read) == [[cell or None for cell in row] for row in rows[: ends[cut]]]
            assert read.malformed == ()


def test_a_truncation_is_reported_with_its_place() -> None:
    assert "final_newline: optional" in refused(b"a,b\n1,2\n3,4", "x.csv", CSV, "in the middle of a line")
    assert "row 2" in refused(b'a,b\n1,2\n3,"x\n', "x.csv", CSV, "inside a quoted field")
    assert "row 2" in refused(b'a,b,c\n1,2,3\n4,"x\n', "x.csv", CSV, "inside a quoted field")


def test_a_last_line_without_end_can_be_allowed() -> None:
    form = Format(type="csv", final_newline="optional")
    assert cells(read_rows(b"a,b\n1,2\n3,4", "x.csv", form)) == [["1", "2"], ["3", "4"]]
    assert cells(read_rows(b'a,b\n1,2\n3,""', "x.csv", form)) == [["1", "2"], ["3", None]]
    refused(b"a,b\n1,2\n3", "x.csv", form, "in the middle of a line")
    refused(b'a,b\n1,2\n3,"4', "x.csv", form, "inside a quoted field")


def test_a_gzip_cut_at_any_byte_is_refused() -> None:
    data = gzip.compress(as_csv(ROWS))
    for cut in range(len(data)):
        refused(data[:cut], "x.csv.gz", CSV, "gzip|empty")


def test_other_bytes_than_gzip_are_refused() -> None:
    refused(as_csv(ROWS), "x.csv.gz", CSV, "gzip")
    refused(gzip.compress(as_csv(ROWS)) + b"more", "x.csv.gz", CSV, "gzip")


def test_a_workbook_cut_anywhere_is_refused() -> None:
    data = as_xlsx({"one": [HEADER, *ROWS]})
    for cut in range(1, len(data), 13):
        refused(data[:cut], "x.xlsx", XLSX, "damaged or ends early")


def test_a_parquet_file_cut_at_any_byte_is_refused() -> None:
    data = as_parquet({"a": ["1", "2"]})
    for cut in range(1, len(data)):
        refused(data[:cut], "x.parquet", PARQUET, "not readable as Parquet")


@pytest.mark.parametrize("form", [XLSX, PARQUET])
def test_another_format_than_described_is_refused(form: Format) -> None:
    refused(as_csv(ROWS), "x", form, "damaged|not readable")


def test_a_zip_read_as_csv_is_refused() -> None:
    refused(as_xlsx({"one": [HEADER, *ROWS]}), "x.csv", CSV, "encoding")


def test_another_delimiter_than_described_is_refused() -> None:
    assert "';'" in refused(b"a;b\n1;2\n", "x.csv", CSV, "another delimiter")


def test_another_encoding_than_described_is_refused_with_its_line() -> None:
    message = refused("a,b\n1,2\n3,CAFÉ\n".encode("cp1252"), "x.csv", CSV, "'utf-8'")
    assert "line 3, byte 13" in message
    assert "cp1252" in message


@pytest.mark.parametrize(
    ("data", "name", "form"),
    [
        (b"a,b,a\n1,2,3\n", "x.csv", CSV),
        (as_xlsx({"one": [["a", "b", "a"], [1, 2, 3]]}), "x.xlsx", XLSX),
    ],
    ids=["csv", "xlsx"],
)
def test_a_repeated_column_is_refused(data: bytes, name: str, form: Format) -> None:
    assert "'a'" in refused(data, name, form, "more than once")


def test_a_parquet_file_with_a_column_twice_is_refused() -> None:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), out)
    refused(out.getvalue(), "x.parquet", PARQUET, "more than once|not readable")


def test_a_row_beyond_the_largest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 100)
    monkeypatch.setattr(csv_blocks, "MAX_ROW_BYTES", 1000)
    refused(b"a,b\n" + b"x" * 5000 + b",2\n", "x.csv", CSV, "not readable as CSV")


def test_a_field_of_ten_megabytes_is_read_whole() -> None:
    rows = read_rows(as_csv([["1", "X" * HUGE_FIELD, "2"], ["2", 'Y"\n' * 1000, "3"]]), "x.csv", CSV)
    assert [len(cell) for cell in rows.table["Description"].to_pylist()] == [HUGE_FIELD, 3000]


def test_a_full_disk_is_no_fault_of_the_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(csv_reader, "TemporaryFile", full)
    with pytest.raises(OSError, match="No space"):
        read_rows(as_csv(ROWS), "x.csv", CSV)


def test_a_workbook_of_too_many_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = as_xlsx({"sheet": [["a"], [1], [2]]})
    monkeypatch.setattr(limits, "MAX_SHEET_ROWS", 3)
    assert read_xlsx(data, "x.xlsx", None, len(data) * 100, lambda _: None).num_rows == 2
    monkeypatch.setattr(limits, "MAX_SHEET_ROWS", 2)
    with pytest.raises(RefusedError, match="too many rows") as refusal:
        read_xlsx(data, "x.xlsx", None, len(data) * 100, lambda _: None)
    assert refusal.value.observed == "3"
    assert "CSV or Parquet" in refusal.value.todo


def test_one_of_several_sheets_must_be_named() -> None:
    data = as_xlsx({"first": [HEADER, *ROWS], "second": [["a"], [1]]})
    assert "first, second" in refused(data, "x.xlsx", XLSX, "several sheets")
    assert cells(read_rows(data, "x.xlsx", Format(type="xlsx", sheet="first"))) == ROWS
    assert "wanted third" in refused(data, "x.xlsx", Format(type="xlsx", sheet="third"), "no such sheet")


def test_cells_of_a_workbook_read_as_a_csv_would_write_them() -> None:
    day, noon = dt.date(2010, 12, 1), dt.datetime(2010, 12, 1, 12, 0, 1)
    data = as_xlsx({"one": [["a", "b", "c", "d", "e"], [17850, 2.5, noon, day, "007"], [6.0, None, None, "", "x"]]})
    assert cells(read_rows(data, "x.xlsx", XLSX)) == [
        ["17850", "2.5", "2010-12-01 12:00:01", "2010-12-01", "007"],
        ["6", None, None, None, "x"],
    ]


def test_empty_rows_of_a_workbook_are_no_rows() -> None:
    data = as_xlsx({"one": [[], ["a", "b"], [1, 2], [None, None], [3, 4], [None, ""]]})
    assert cells(read_rows(data, "x.xlsx", XLSX)) == [["1", "2"], ["3", "4"]]


def test_cells_of_parquet_read_as_a_csv_would_write_them() -> None:
    at = [dt.datetime(2010, 12, 1, 8, 26), None]
    data = as_parquet(
        {
            "id": pa.array([12345678901.0, 17850.5]),
            "seconds": pa.array(at, pa.timestamp("ns")),
            "fraction": pa.array([1291191960123456789, None], pa.timestamp("ns")),
            "day": pa.array([dt.date(2010, 12, 1), None]),
            "number": pa.array([1e300, float("nan")]),
            "whole": pa.array([6, -7], pa.int16()),
            "text": pa.array(["", "x"]).dictionary_encode(),
        }
    )
    assert cells(read_rows(data, "x.parquet", PARQUET)) == [
        ["12345678901", "2010-12-01 08:26:00", "2010-12-01 08:26:00.123456", "2010-12-01", "1e+300", "6", None],
        ["17850.5", None, None, None, None, "-7", "x"],
    ]


def test_a_nested_parquet_column_is_refused() -> None:
    refused(as_parquet({"a": [[1, 2], [3]]}), "x.parquet", PARQUET, "not readable as Parquet")
    refused(as_parquet({"a": [b"\xff\xfe"]}), "x.parquet", PARQUET, "not readable as Parquet")


# Attacks


@pytest.mark.parametrize(
    "data",
    [b"x\n" + b"x,y\n" * 9, b"a,b\n" + b"1,2,\n" * 9, b"a,b\n1\n"],
    ids=["two fields under one column", "a comma at the end of each line", "one field under two columns"],
)
def test_a_file_of_which_no_line_can_be_split_is_read_as_malformed_lines(data: bytes) -> None:
    rows = read_rows(data, "x.csv", CSV)
    assert (rows.table.num_rows, len(rows.malformed)) == (0, data.count(b"\n") - 1)


def test_more_columns_than_allowed_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"c{n}" for n in range(10_001)]
    row = as_csv([], header=names[:10_000]) * 2
    assert read_rows(row, "x.csv", CSV).table.num_columns == 10_000
    with monkeypatch.context() as patch:
        patch.delattr(csv_blocks.csv, "open_csv")
        for text in (
            as_csv([], header=names),
            as_csv([], header=['"quoted",', *names]),
            b"\n\n" + as_csv([], header=names),
        ):
            refused(text * 2, "x.csv", CSV, "too many columns")
            refused(text.replace(b"\n", b"\r") * 2, "x.csv", CSV, "too many columns")
    refused(as_parquet({name: ["1"] for name in names}), "x.parquet", PARQUET, "too many columns")
    refused(as_xlsx({"one": [names, names]}), "x.xlsx", XLSX, "too many columns")


def test_a_header_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "MAX_HEADER_BYTES", 1000)
    refused(b'"' + b"x" * 2000, "x.csv", CSV, "header is too long")


def test_more_malformed_lines_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "MAX_MALFORMED", 5)
    assert len(read_rows(b"a,b\n1,2\n" + b"x\n" * 4, "x.csv", CSV).malformed) == 4
    assert "row 2: 1 fields instead of 2" in refused(b"a,b\n1,2\n" + b"x\n" * 9, "x.csv", CSV, "Too many lines")


def test_cells_beyond_what_a_file_of_its_size_can_hold_are_refused() -> None:
    column = pa.array([7] * 5_000_000, pa.int8())
    refused(as_parquet({"a": column}), "x.parquet", PARQUET, "more cells than data of its size")


def test_a_workbook_with_a_wrong_checksum_is_refused() -> None:
    data = as_xlsx({"one": [HEADER, *ROWS]})
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        info = book.getinfo("xl/worksheets/sheet1.xml")
    at = data.index(b"PK\x01\x02" + data[data.rindex(b"PK\x01\x02") + 4 : data.rindex(b"PK\x01\x02") + 6])
    where = data.index(info.CRC.to_bytes(4, "little"), at)
    refused(data[:where] + bytes(4) + data[where + 4 :], "x.xlsx", XLSX, "damaged")


def test_a_parquet_file_with_a_wrong_checksum_is_refused() -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": ["one", "two"]}), out, write_page_checksum=True, compression="none")
    data = out.getvalue()
    assert cells(read_rows(data, "x.parquet", PARQUET)) == [["one"], ["two"]]
    refused(data.replace(b"one", b"eno", 1), "x.parquet", PARQUET, "not readable as Parquet")


READABLE = st.sampled_from(
    [("x.csv", CSV), ("x.csv.gz", CSV), ("x.zip", CSV), ("x.xlsx", XLSX), ("x.parquet", PARQUET)]
)


@given(READABLE, st.binary(max_size=300))
@settings(deadline=None, max_examples=150)
def test_any_bytes_are_rows_or_a_refusal(kind: tuple[str, Format], data: bytes) -> None:
    try:
        rows = read_rows(data, *kind)
    except RefusedError:
        return
    numbers = {*rows.numbers.to_pylist(), *(line.row for line in rows.malformed)}
    assert numbers == set(range(1, rows.total_rows + 1))


GOOD_FILES = (
    ("x.csv", CSV, as_csv(ROWS)),
    ("x.xlsx", XLSX, as_xlsx({"one": [HEADER, *ROWS]})),
    ("x.parquet", PARQUET, as_parquet({"a": ["1", "2"], "b": [1.5, None]})),
)
"""Made once: a workbook holds the time at which it was made, and examples must not differ by that."""


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_any_change_of_a_good_file_is_rows_or_a_refusal(data: st.DataObject) -> None:
    name, form, good = data.draw(st.sampled_from(GOOD_FILES))
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + data.draw(st.binary(max_size=4)) + good[at + data.draw(st.integers(0, 4)) :]
    with contextlib.suppress(RefusedError):
        read_rows(changed, name, form)
