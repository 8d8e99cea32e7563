"""Plain SQL on DuckDB for the steps of ingestion, where compiling an expression takes longer than running it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.lake.scratch import scratch_path
from pipeline.settings import Settings

if TYPE_CHECKING:
    import duckdb

MAX_MEMORY = 512 << 20
"""Bytes of memory that the engine may use while a delivery is checked or committed; beyond them it spills to disk."""
NO_PROGRESS_BAR = "SET enable_progress_bar = false"
UNITS: Mapping[str, int] = {
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


@contextmanager
def connected(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB that spills to disk beyond `MAX_MEMORY`, or beyond the engine's limit if it is lower."""
    # Its import starts a thread, which may not run where tasks are forked.
    import duckdb

    number, unit = re.fullmatch(r"([\d.]+) ?(\w+)", settings.memory_limit).groups()  # type: ignore[union-attr]
    limit = f"{min(MAX_MEMORY, int(float(number) * UNITS[unit]))}B"
    con = duckdb.connect(config=configuration(settings) | {"memory_limit": limit})
    try:
        prepare(con, settings)
        # Files are read piece by piece. What DuckDB keeps of their rows would be a quarter of a gigabyte.
        con.execute("SET enable_external_file_cache = false")
        con.execute("SET parquet_metadata_cache = true")
        yield con
    finally:
        con.close()


class Engine:
    """A DuckDB as of `connected` that several steps use one after the other, started when it is first needed.

    Starting and ending one takes as long as checking a small delivery.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = ExitStack()
        self._con: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a connection; the tables that are made or registered with it end with it."""
        if self._con is None:
            self._con = self._open.enter_context(connected(self._settings))
        con = self._con.cursor()
        try:
            con.execute(NO_PROGRESS_BAR)
            yield con
        finally:
            con.close()


def configuration(settings: Settings) -> dict[str, Any]:
    """What every DuckDB of the house is opened with. Beyond its memory limit it spills to a folder of its own."""
    return {
        "threads": settings.threads,
        "memory_limit": settings.memory_limit,
        # DuckDB's spill files have fixed names, so two processes must not share a folder. DuckDB removes it at the end.
        "temp_directory": str(scratch_path("spill")),
        "autoinstall_known_extensions": False,
    }


def prepare(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Keep the progress bar off standard output, which is for results, and let a new DuckDB read a home in a bucket."""
    con.execute(NO_PROGRESS_BAR)
    home = settings.home_path
    if home.protocol not in ("", "file"):
        con.register_filesystem(home.fs)


def quoted(name: str) -> str:
    """Return a name as SQL takes any name."""
    return '"' + name.replace('"', '""') + '"'


def scan(files: Sequence[str], schema: pa.Schema, partitions: Sequence[str] = ()) -> str:
    """Return a query of all rows of Parquet files, with the columns and types of a table.

    Args:
        files: at least one file.
        schema: the table's columns.
        partitions: those that are in the names of the folders instead of in the files.
    """
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    hive = f", hive_partitioning={str(bool(partitions)).lower()}, hive_types_autocast=false"
    days = {name for name in partitions if pa.types.is_date(schema.field(name).type)}
    columns = (f"CAST({quoted(n)} AS DATE) AS {quoted(n)}" if n in days else quoted(n) for n in schema.names)
    return f"SELECT {', '.join(columns)} FROM read_parquet([{listed}]{hive})"  # noqa: S608 (names are quoted)
