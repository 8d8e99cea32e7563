"""Packed deliveries are unpacked piece by piece, and refused before they fill the memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile

import pytest

from pipeline.errors import RefusedError
from pipeline.ingestion import limits, unpacking
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.unpacking import unpack
from tests.ingestion.broken_files import as_xlsx, gzip_bomb, workbook_with, zipped, zipped_blanks

MEGABYTE = 1 << 20
BOMBS = {
    "x.csv.gz": gzip_bomb(128 * MEGABYTE),
    "members.csv.gz": gzip.compress(b"\0" * MEGABYTE) * 128,
    "x.zip": zipped_blanks({"a.csv": 128 * MEGABYTE}),
    "nested.zip": zipped({"a.csv.gz": gzip_bomb(128 * MEGABYTE)}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_when_it_has_grown_too_much(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FREE_BYTES", 8 * MEGABYTE)
    tracemalloc.start()
    with pytest.raises(RefusedError, match="grows more than data does"):
        unpack(io.BytesIO(BOMBS[name]), name, 1 << 40)[0].read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * MEGABYTE


@pytest.mark.parametrize("name", ["x.csv.gz", "x.zip", "x.csv"])
def test_more_bytes_than_the_setting_allows_are_refused(name: str) -> None:
    plain = b"a,b\n" + b"1,2\n" * 1000
    data = {"x.csv.gz": gzip.compress(plain), "x.zip": zipped({"a.csv": plain}), "x.csv": plain}[name]
    with pytest.raises(RefusedError, match=r"too large[^$]*AISLE_MAX_DELIVERY_BYTES"):
        read_rows(data, name, Format(), max_bytes=len(plain) - 1)
    assert read_rows(data, name, Format(), max_bytes=len(plain)).total_rows == 1000


def test_a_workbook_counts_as_unpacked() -> None:
    with pytest.raises(RefusedError, match="too large"):
        read_rows(as_xlsx([["a"], ["1"]]), "x.xlsx", Format(type="xlsx"), max_bytes=5000)
    bomb = workbook_with(styles=b"<styleSheet>" + b"<xf/>" * 20_000_000)
    with pytest.raises(RefusedError, match="grows more than data does"):
        read_rows(bomb, "x.xlsx", Format(type="xlsx"))


def test_what_is_packed_well_but_small_is_read() -> None:
    assert unpack(io.BytesIO(gzip.compress(b"a\n" * MEGABYTE)), "x.csv.gz", 1 << 40)[0].read() == b"a\n" * MEGABYTE


def test_what_the_directory_of_an_archive_says_is_not_believed() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"1" * 1000)
    lying = bytearray(out.getvalue())
    at = lying.index(b"PK\x01\x02") + 24
    lying[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(RefusedError, match="damaged"):
        unpack(io.BytesIO(bytes(lying)), "x.zip", 1 << 40)[0].read()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_an_archive_of_another_method_is_read_or_refused_if_spoilt(method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a.csv", b"a,b\n" * 100)
    data = out.getvalue()
    assert unpack(io.BytesIO(data), "x.zip", 1 << 40)[0].read() == b"a,b\n" * 100
    for at in range(40, len(data) - 80, 7):
        try:
            spoilt = io.BytesIO(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
            unpacked = unpack(spoilt, "x.zip", 1 << 40)[0].read()
        except RefusedError:
            continue
        assert unpacked == b"a,b\n" * 100


def test_a_piece_is_small() -> None:
    assert unpacking.CHUNK_BYTES <= MEGABYTE
