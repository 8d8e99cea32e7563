"""Broken deliveries of every table, made by code: each must end in refusal or quarantine, and spoil nothing else.

`shop` writes the sources; `broken_files` names the files. Those that are `large` need seconds or hundreds of megabytes;
`python -m benchmarks.attack deliveries` tries all of them, the tests try the others.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import random
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from openpyxl import Workbook

from pipeline.settings import Settings
from pipeline.simulate.deliveries import delivery_bytes

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("transactions", "visits", "people", "footfall", "store_days", "stores", "store_plans")
FORMS = ("csv", "xlsx", "parquet")
DAYS = date(2025, 3, 3), date(2025, 3, 6)
IDENTIFIERS = {"transactions": "InvoiceNo", "visits": "ID", "people": "ID"}
NUMBERS = {
    "transactions": "Quantity",
    "visits": "Quantity",
    "people": "Age",
    "footfall": "Visitor",
    "store_days": "Store",
    "stores": "Store",
    "store_plans": "Store",
}
"""A column of whole numbers of each table."""
GIGABYTE = 1 << 30

Cells = list[list[str]]
"""A header and rows."""
Make = Callable[[Cells], bytes]
"""Makes a broken file from good rows."""


@dataclass(frozen=True)
class Broken:
    """A broken file.

    Attributes:
        table: the table it pretends to be for.
        source: the table's source: `csv`, `xlsx` or `parquet`.
        name: its name, which says what is broken.
        write: writes it to a path.
    """

    table: str
    source: str
    name: str
    write: Callable[[Path], None]


@cache
def good_rows(table: str) -> Cells:
    """A header and rows of a table that are accepted."""
    (spec,) = yaml.safe_load((ROOT / "sources.yaml").read_text())["tables"][table].values()
    address = spec["from"].replace("customers=900", "customers=300").replace("people=400", "people=60")
    return list(csv.reader(io.StringIO(delivery_bytes(address, *DAYS).decode())))[:200]


def shop(folder: Path, **settings: Any) -> Settings:
    """Write a mapping with a source of each format for each table, and return its settings."""
    mapping = yaml.safe_load((ROOT / "sources.yaml").read_text())
    for table, sources in mapping["tables"].items():
        (spec,) = sources.values()
        mapping["tables"][table] = {
            form: {**spec, "from": f"{table}/{form}/*", "format": {"type": form}} for form in FORMS
        }
        for form in FORMS:
            (folder / "data" / table / form).mkdir(parents=True, exist_ok=True)
    (folder / "sources.yaml").write_text(yaml.safe_dump(mapping))
    options = {"expectations": ROOT / "expectations", **settings}
    return Settings(home=str(folder / "home"), sources=folder / "sources.yaml", data=str(folder / "data"), **options)


def good_file(table: str, source: str) -> bytes:
    """A file of a source that is accepted."""
    return {"csv": as_csv, "xlsx": as_xlsx, "parquet": as_parquet}[source](good_rows(table))


def broken_files(*, large: bool) -> Iterator[Broken]:
    """Name the broken files of every table, perhaps without those that need seconds or hundreds of megabytes."""
    for table in TABLES:
        for source, kinds in (("csv", _csv_kinds(table)), ("xlsx", XLSX_KINDS), ("parquet", PARQUET_KINDS)):
            for name, make in kinds.items():
                if large or name not in LARGE:
                    yield Broken(table, source, name, partial(_write, table, make))
        for name, write in ODD_FILES.items():
            yield Broken(table, "csv", name, write)


def _write(table: str, make: Make, path: Path) -> None:
    path.write_bytes(make(good_rows(table)))


# CSV


def as_csv(rows: Cells, delimiter: str = ",") -> bytes:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def with_cells(rows: Cells, column: str, cells: list[str]) -> bytes:
    """Rows as CSV, with other cells at the start of a column."""
    at = rows[0].index(column)
    changed = [[*row[:at], cell, *row[at + 1 :]] for row, cell in zip(rows[1:], cells, strict=False)]
    return as_csv([rows[0], *changed, *rows[1 + len(changed) :]])


def _csv_kinds(table: str) -> dict[str, Make]:
    number = NUMBERS[table]
    kinds: dict[str, Make] = {
        "one-column.csv": lambda rows: b"x\n" + b"x,y\n" * 50,
        "trailing-commas.csv": lambda rows: as_csv([rows[0], *([*row, ""] for row in rows[1:])]),
        "short-rows.csv": lambda rows: as_csv([rows[0], *(row[:-1] for row in rows[1:])]),
        "ragged.csv": lambda rows: as_csv([rows[0], *(row[: n % len(row)] for n, row in enumerate(rows[1:], 1))]),
        "quote-never-closed.csv": lambda rows: as_csv(rows) + b'"x,' + as_csv(rows[1:]),
        "cut.csv": lambda rows: as_csv(rows)[:-3],
        "empty.csv": lambda rows: b"",
        "blanks.csv": lambda rows: b" \n\n\t\n",
        "header-only.csv": lambda rows: as_csv(rows[:1]),
        "commas-only.csv": lambda rows: b",,,\n" * 20,
        "nul-bytes.csv": lambda rows: b"\0" * 5000,
        "utf-16.csv": lambda rows: as_csv(rows).decode().encode("utf-16"),
        "not-utf-8.csv": lambda rows: as_csv(rows).replace(b"2025", b"20\xff5").replace(b"1", b"\xfe"),
        "random.csv": lambda rows: random.Random(table).randbytes(4000),
        "other-delimiter.csv": lambda rows: as_csv(rows, ";"),
        "column-twice.csv": lambda rows: as_csv([[*row, row[0]] for row in rows]),
        "column-missing.csv": lambda rows: as_csv([row[1:] for row in rows]),
        "columns-renamed.csv": lambda rows: as_csv([[f"_row{n}" for n in range(len(rows[0]))], *rows[1:]]),
        "header-of-blanks.csv": lambda rows: as_csv([[" "] * len(rows[0]), *rows[1:]]),
        "workbook.csv": lambda rows: as_xlsx(rows),
        "parquet.csv": lambda rows: as_parquet(rows),
        "numbers.csv": lambda rows: with_cells(rows, number, ["NaN", "inf", "1e999", "9" * 400, "٣", "0x1", "1,5"]),
        "formulas.csv": lambda rows: with_cells(rows, number, ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-1+1"]),
        "megabyte-cell.csv": lambda rows: with_cells(rows, number, ["x" * 3_000_000]),
        "megabyte-quotes.csv": lambda rows: with_cells(rows, number, ['"\n' * 500_000]),
        "escapes.csv": lambda rows: with_cells(rows, number, ["\x1b[2J\x07", "\x00", "\u202e1", "</script>", "[b]"]),
        "twenty-thousand-columns.csv": lambda rows: as_csv([[str(n) for n in range(20_000)], ["1"] * 20_000]),
        "truncated.csv.gz": lambda rows: gzip.compress(as_csv(rows))[:-9],
        "no-gzip.csv.gz": as_csv,
        "garbage-after.csv.gz": lambda rows: gzip.compress(as_csv(rows)) + b"garbage",
        "spoilt.csv.gz": lambda rows: flipped(gzip.compress(as_csv(rows)), 60),
        "twice.csv.gz.gz": lambda rows: gzip.compress(gzip.compress(as_csv(rows))),
        "two-files.zip": lambda rows: zipped({"a.csv": as_csv(rows), "b.csv": as_csv(rows)}),
        "no-file.zip": lambda rows: zipped({"folder/": b""}),
        "no-zip.zip": as_csv,
        "truncated.zip": lambda rows: zipped({"a.csv": as_csv(rows)})[:-40],
        "spoilt.zip": lambda rows: flipped(zipped({"a.csv": as_csv(rows)}), 60),
        "encrypted.zip": lambda rows: _encrypted(zipped({"a.csv": as_csv(rows)})),
        "lying-size.zip": lambda rows: _lying(zipped({"a.csv": as_csv(rows)})),
        "bomb.csv.gz": lambda rows: gzip_bomb(9 * GIGABYTE),
        "bomb-of-rows.csv.gz": lambda rows: gzip_bomb(GIGABYTE, b"x,y\n"),
        "bomb-of-members.csv.gz": lambda rows: gzip.compress(b"\0" * (1 << 20)) * 5000,
        "bomb.zip": lambda rows: zipped_blanks({"a.csv": GIGABYTE}),
        "a-million-columns.csv": lambda rows: as_csv([["c"] * 1_000_000, ["1"] * 1_000_000]),
        "two-million-bad-lines.csv": lambda rows: as_csv(rows[:2]) + b"x\n" * 2_000_000,
        "header-without-end.csv": lambda rows: b'"' + b"x" * (40 << 20),
    }
    if identifier := IDENTIFIERS.get(table):
        kinds["identifiers.csv"] = lambda rows: with_cells(rows, identifier, ["\u202e1", "a\x1bb", "x\u200by"])
    return kinds


def flipped(data: bytes, at: int) -> bytes:
    """Invert the bits of one byte."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def gzip_bomb(size: int, piece: bytes = b"\0") -> bytes:
    """So many bytes of one piece, again and again, in one stream; made in no time, so that its checksum is wrong."""
    packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), piece * ((1 << 22) // len(piece))
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers to what was before, so that the same bytes may follow any number of times.
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (size // len(block)) + packer.flush()


def zipped(files: dict[str, bytes]) -> bytes:
    """Files in a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def zipped_blanks(sizes: dict[str, int]) -> bytes:
    """Files of so many blanks in a zip archive."""
    out, block = io.BytesIO(), b" " * (1 << 24)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in sizes.items():
            with archive.open(name, "w", force_zip64=True) as stream:
                for _ in range(size // len(block)):
                    stream.write(block)
    return out.getvalue()


def _encrypted(archive: bytes) -> bytes:
    """Set the flag that says that the first file is encrypted, in its header and in the directory."""
    data = bytearray(archive)
    data[6] |= 1
    data[archive.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _lying(archive: bytes) -> bytes:
    """Say in the directory that the first file has one byte."""
    at = archive.index(b"PK\x01\x02") + 24
    return archive[:at] + struct.pack("<I", 1) + archive[at + 4 :]


# Workbooks


def as_xlsx(rows: Cells) -> bytes:
    """Rows as a workbook of one sheet."""
    book, out = Workbook(write_only=True), io.BytesIO()
    sheet = book.create_sheet("one")
    for row in rows:
        sheet.append(row)
    book.save(out)
    return out.getvalue()


def workbook_with(**parts: bytes) -> bytes:
    """A workbook with other bytes in some of its parts, by their name without folder and ending."""
    with zipfile.ZipFile(io.BytesIO(as_xlsx([["a"], ["1"]]))) as book:
        content = {info.filename: book.read(info) for info in book.infolist()}
    for name, data in parts.items():
        (full,) = [part for part in content if part.rsplit("/", 1)[-1] == f"{name}.xml"]
        content[full] = data
    return zipped(content)


def sheet_of(cells: str) -> bytes:
    """A sheet's XML around its rows."""
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<?xml version="1.0"?><worksheet xmlns="{space}"><sheetData>{cells}</sheetData></worksheet>'.encode()


def cell_at(address: str, text: str = "x", kind: str = "inlineStr") -> str:
    """The XML of a row with one cell."""
    value = f"<is><t>{text}</t></is>" if kind == "inlineStr" else f"<v>{text}</v>"
    row = address.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return f'<row r="{row}"><c r="{address}" t="{kind}">{value}</c></row>'


def _sheets(*cells: str) -> Make:
    return lambda rows: workbook_with(sheet1=sheet_of("".join(cells)))


ENTITIES = "".join(f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
LAUGHS = (
    f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">{ENTITIES}]>'.encode() + sheet_of(cell_at("A1", "&j;"))[21:]
)
XLSX_KINDS: dict[str, Make] = {
    "far-cell.xlsx": _sheets(cell_at("A1"), cell_at("XFD1048576")),
    "far-column.xlsx": _sheets(cell_at("A1"), cell_at("XFD2")),
    "far-row.xlsx": _sheets(cell_at("A1"), cell_at("Z1048576")),
    "beyond-the-sheet.xlsx": _sheets(cell_at("A1"), cell_at("ZZZZZ99999999999")),
    "row-zero.xlsx": _sheets(cell_at("A0"), cell_at("B1")),
    "bad-address.xlsx": _sheets(cell_at("1A"), cell_at("A1")),
    "string-out-of-range.xlsx": _sheets(cell_at("A1", "999999", "s")),
    "string-negative.xlsx": _sheets(cell_at("A1", "-1", "s"), cell_at("A2", "1.5", "s")),
    "number-no-number.xlsx": _sheets(cell_at("A1", "abc", "n")),
    "date-far.xlsx": _sheets(cell_at("A1"), cell_at("A2", "1e308", "d")),
    "laughs.xlsx": lambda rows: workbook_with(sheet1=LAUGHS),
    "xml-cut.xlsx": lambda rows: workbook_with(sheet1=sheet_of(cell_at("A1"))[:-30]),
    "xml-not-utf-8.xlsx": lambda rows: workbook_with(sheet1=sheet_of(cell_at("A1", "QQ")).replace(b"QQ", b"\xff\xfe")),
    "xml-deep.xlsx": lambda rows: workbook_with(sheet1=b"<a>" * 100_000),
    "no-workbook.xlsx": lambda rows: workbook_with(workbook=b""),
    "no-sheets.xlsx": lambda rows: workbook_with(workbook=b"<workbook><sheets/></workbook>"),
    "zip-of-nothing.xlsx": lambda rows: zipped({}),
    "cut.xlsx": lambda rows: as_xlsx(rows)[: len(as_xlsx(rows)) // 2],
    "spoilt.xlsx": lambda rows: flipped(as_xlsx(rows), 700),
    "encrypted.xlsx": lambda rows: _encrypted(as_xlsx(rows)),
    "csv.xlsx": as_csv,
    "old-header.xlsx": lambda rows: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 3000,
    "empty-sheet.xlsx": lambda rows: as_xlsx([]),
    "header-only.xlsx": lambda rows: as_xlsx(rows[:1]),
    "column-twice.xlsx": lambda rows: as_xlsx([[*row, row[0]] for row in rows]),
    "column-missing.xlsx": lambda rows: as_xlsx([row[1:] for row in rows]),
    "workbook.zip": as_xlsx,
    "bomb.xlsx": lambda rows: zipped_blanks({"xl/worksheets/sheet1.xml": GIGABYTE}),
    "bomb-of-cells.xlsx": lambda rows: workbook_with(sheet1=sheet_of("<row><c><v>1</v></c></row>" * 10_000_000)),
    "four-million-cells.xlsx": lambda rows: workbook_with(
        sheet1=sheet_of(("<row>" + "".join(f"<c><v>{n % 10}</v></c>" for n in range(7_000)) + "</row>") * 600)
    ),
    "bomb-of-styles.xlsx": lambda rows: workbook_with(styles=b"<styleSheet>" + b"<xf/>" * 20_000_000),
}

# Parquet


def as_parquet(rows: Cells) -> bytes:
    """Rows as a Parquet file of text."""
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})
    return parquet_of(table, write_page_checksum=True)


def parquet_of(table: pa.Table, **options: Any) -> bytes:
    """A table as a Parquet file."""
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def text_that_is_not_utf_8() -> pa.Array:
    """A column that says it is text."""
    offsets = pa.py_buffer(struct.pack("<3i", 0, 2, 4))
    return pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"\xff\xfe\xff\xfe")])


def huge_text(cells: int, size: int) -> bytes:
    """A column whose one text, stored once, is in each of many rows."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * cells, pa.int32()), pa.array(["x" * size]))
    return parquet_of(pa.table({"InvoiceNo": column}), compression="zstd")


def _spoilt_at(share: int) -> Make:
    return lambda rows: flipped(as_parquet(rows), len(as_parquet(rows)) * share // 100)


def _framed(footer: bytes, length: int) -> Make:
    return lambda rows: b"PAR1" + footer + struct.pack("<I", length) + b"PAR1"


PARQUET_KINDS: dict[str, Make] = {
    "cut.parquet": lambda rows: as_parquet(rows)[:-5],
    "half.parquet": lambda rows: as_parquet(rows)[: len(as_parquet(rows)) // 2],
    "csv.parquet": as_csv,
    "magic-only.parquet": lambda rows: b"PAR1PAR1",
    "footer-too-long.parquet": _framed(b"\x15\x02" * 500, 2**31 - 1),
    "footer-of-ones.parquet": _framed(b"\xff" * 3000, 3000),
    "footer-of-zeros.parquet": _framed(b"\0" * 3000, 3000),
    "not-utf-8.parquet": lambda rows: parquet_of(pa.table({rows[0][0]: text_that_is_not_utf_8()})),
    "nested.parquet": lambda rows: parquet_of(pa.table({rows[0][0]: [[1, 2], [3]]})),
    "binary.parquet": lambda rows: parquet_of(pa.table({rows[0][0]: [b"\xff\xfe", b"\0"]})),
    "no-rows.parquet": lambda rows: parquet_of(pa.table({rows[0][0]: pa.array([], "int8")})),
    "no-columns.parquet": lambda rows: parquet_of(pa.table({})),
    "column-twice.parquet": lambda rows: parquet_of(
        pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"])], names=[rows[0][0]] * 2)
    ),
    "column-missing.parquet": lambda rows: as_parquet([row[1:] for row in rows]),
    **{f"spoilt-{share}.parquet": _spoilt_at(share) for share in (2, 40)},
    "ten-thousand-columns.parquet": lambda rows: parquet_of(pa.table({str(n): [1] for n in range(10_001)})),
    "bomb-of-text.parquet": lambda rows: huge_text(50_000, 200_000),
    "bomb-of-rows.parquet": lambda rows: parquet_of(
        pa.table(dict.fromkeys(rows[0], pa.array([7] * 20_000_000, pa.int8()))), compression="zstd"
    ),
}

LARGE = frozenset(
    {
        *("bomb.csv.gz", "bomb-of-rows.csv.gz", "bomb-of-members.csv.gz", "bomb.zip", "a-million-columns.csv"),
        *("two-million-bad-lines.csv", "header-without-end.csv", "bomb.xlsx", "bomb-of-cells.xlsx"),
        *(
            "bomb-of-styles.xlsx",
            "four-million-cells.xlsx",
            "bomb-of-text.parquet",
            "bomb-of-rows.parquet",
            "ten-thousand-columns.parquet",
        ),
    }
)

# Files that are no files, and names that are none


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _socket(path: Path) -> None:
    # The path of a socket has at most 107 characters, and a test's folder may have more.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _plain(path: Path) -> None:
    path.write_bytes(as_csv(good_rows("footfall")))


ODD_FILES: dict[str, Callable[[Path], None]] = {
    "link-out.csv": _link("/etc/passwd"),
    "link-to-device.csv": _link("/dev/zero"),
    "link-to-nothing.csv": _link("/proc/nothing-is-here"),
    "link-to-itself.csv": lambda path: path.symlink_to(path.name),
    "link-to-memory.csv": _link("/proc/self/mem"),
    "pipe.csv": os.mkfifo,
    "socket.csv": _socket,
    "n" * 240 + ".csv": _plain,
    os.fsdecode(b"not-utf-8-\xff\xfe.csv"): _plain,
}
