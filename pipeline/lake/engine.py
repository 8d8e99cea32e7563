"""The engine that runs Ibis expressions over the lake: DuckDB, within the memory and threads it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.lake.tables import DAY_COLUMNS, Lake
from pipeline.settings import Settings


def connect(settings: Settings) -> Backend:
    """A fresh in-memory DuckDB that spills to disk beyond `settings.memory_limit` and downloads nothing."""
    con = ibis.duckdb.connect(
        threads=settings.threads,
        memory_limit=settings.memory_limit,
        # DuckDB's spill files have fixed names: two processes in one folder crash. It removes its folder when it ends.
        temp_directory=str(Path(gettempdir()) / f"aisle-spill-{uuid4().hex}"),
        autoinstall_known_extensions=False,
    )
    # It would draw on standard output, where results belong.
    con.raw_sql("SET enable_progress_bar = false")
    home = settings.home_path
    if home.protocol not in ("", "file"):
        con.register_filesystem(home.fs)
    return con


def table(
    con: Backend,
    lake: Lake,
    name: str,
    version: int | None = None,
    *,
    since: date | None = None,
    until: date | None = None,
    keep: Callable[[Mapping[str, Any]], bool] | None = None,
) -> ir.Table:
    """A version of a lake table as an Ibis table over its list of active files.

    Args:
        since: first day that may be wanted; files of earlier days are not opened.
        until: the day before which all wanted rows are (exclusive).
        keep: chooses files by what the commit says of them instead (see `Lake.files`).
    """
    schema = lake.schema(name, version)
    partitions = lake.partition_columns(name)
    files = lake.files(name, version, keep or _between(since, until))
    if not files:
        return ibis.memtable(schema.empty_table())
    found = con.read_parquet(files, hive_partitioning=bool(partitions), hive_types_autocast=False)
    types = ibis.Schema.from_pyarrow(schema)
    return found.mutate(**{column: found[column].cast(types[column]) for column in partitions}).select(schema.names)


def _between(since: date | None, until: date | None) -> Callable[[Mapping[str, Any]], bool] | None:
    if since is None and until is None:
        return None
    low, high = (since or date.min).isoformat(), (until or date.max).isoformat()

    def keep(file: Mapping[str, Any]) -> bool:
        days = [str(file[f"partition.{column}"]) for column in DAY_COLUMNS if f"partition.{column}" in file]
        return all(low <= day < high for day in days)

    return keep
