"""Workbooks and Parquet files are parsed apart: what they do to their parser is done to that process alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from pipeline.errors import RefusedError
from pipeline.ingestion import isolation
from pipeline.ingestion.isolation import read_apart
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.source_schema import Format
from tests.ingestion.broken_files import as_parquet, as_xlsx, cell_at, huge_text, sheet_of, workbook_with

XLSX, PARQUET = Format(type="xlsx"), Format(type="parquet")
ROWS = [["a", "b"], ["1", "x"], ["2", "y"]]
FAR_CELL = workbook_with(sheet1=sheet_of(cell_at("A1") + cell_at("XFD1048576")))


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    isolation.close()
    yield
    isolation.close()


def running() -> int | None:
    """The id of the process, if there is one."""
    return isolation._current.process.pid if isolation._current else None


def test_many_files_cost_one_start() -> None:
    read_rows(as_xlsx(ROWS), "x.xlsx", XLSX)
    first = running()
    assert first
    assert read_rows(as_parquet(ROWS), "x.parquet", PARQUET).table.to_pylist() == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": "y"},
    ]
    with pytest.raises(RefusedError, match="damaged"):
        read_rows(b"PK", "x.xlsx", XLSX)
    assert running() == first


@pytest.mark.parametrize(
    ("data", "form"), [(FAR_CELL, XLSX), (huge_text(3_000, 400_000), PARQUET)], ids=["far cell", "huge text"]
)
def test_a_file_that_needs_too_much_memory_is_refused_and_the_next_one_is_read(data: bytes, form: Format) -> None:
    # The files have 5 kB; the one would need 549 GB, the other 1.2 GB.
    with pytest.raises(RefusedError, match=r"cannot be read as|not readable as"):
        read_rows(data, "x", form)
    assert read_rows(as_xlsx(ROWS), "x.xlsx", XLSX).total_rows == 2


def test_a_process_that_was_killed_meanwhile_is_started_again() -> None:
    read_rows(as_xlsx(ROWS), "x.xlsx", XLSX)
    first = running()
    assert first
    os.kill(first, signal.SIGKILL)
    isolation._current.process.wait()  # type: ignore[union-attr]
    assert read_rows(as_xlsx(ROWS), "x.xlsx", XLSX).total_rows == 2
    assert running() != first


def test_a_process_that_ends_while_it_parses_refuses_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = "import os, sys; sys.stdin.buffer.readline(); os.kill(os.getpid(), 11)"
    with monkeypatch.context() as patch:
        patch.setattr(isolation, "_START", ends)
        with pytest.raises(RefusedError, match="SIGSEGV"):
            read_rows(as_xlsx(ROWS), "x.xlsx", XLSX)
    assert read_rows(as_xlsx(ROWS), "x.xlsx", XLSX).total_rows == 2


def test_a_process_that_ends_in_the_middle_of_its_answer_refuses_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    half = 'import sys; print(\'{"outcome": "rows", "last": false}\'); print(\'x\' * 100)'
    monkeypatch.setattr(isolation, "_START", half)
    with pytest.raises(RefusedError, match="cannot be read as xlsx"):
        read_rows(as_xlsx(ROWS), "x.xlsx", XLSX)


def test_after_a_large_file_the_process_ends() -> None:
    rows = [["a", "b"], *([f"{n:050}", f"{n:050}"] for n in range(25_000))]
    assert read_rows(as_xlsx(rows), "x.xlsx", XLSX).total_rows == 25_000
    assert running() is None


def test_threads_take_turns() -> None:
    files = [as_parquet([["a"], *([str(n)] for n in range(size))]) for size in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda data: read_apart("parquet", data, "x", 1 << 20, None).num_rows, files))
    assert found == list(range(1, 9))


def test_a_fork_starts_a_process_of_its_own() -> None:
    read_rows(as_xlsx(ROWS), "x.xlsx", XLSX)
    first = running()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover (another process)
        rows = read_rows(as_parquet(ROWS), "x.parquet", PARQUET).total_rows
        os.write(writing, f"{rows} {running() != first}".encode())
        isolation.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"2 True"
    assert running() == first
    assert read_rows(as_xlsx(ROWS), "x.xlsx", XLSX).total_rows == 2


def test_any_exception_of_a_reader_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (MemoryError("no"), pa.ArrowKeyError("no"), UnicodeDecodeError("utf-8", b"", 0, 1, "no"), KeyError(7)):

        def fails(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("pipeline.ingestion.readers.read_csv", fails)
        with pytest.raises(RefusedError, match=f"cannot be read as csv[^$]*{type(error).__name__}"):
            read_rows(b"a\n1\n", "x.csv", Format())
