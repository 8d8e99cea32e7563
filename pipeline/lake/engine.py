"""The engine that runs Ibis expressions on the tables of the lake: DuckDB, with limited memory and threads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING
from uuid import uuid4

import ibis
import ibis.expr.types as ir

from pipeline.lake.partitions import Keep, between
from pipeline.lake.sql import configuration, prepare
from pipeline.lake.tables import DAY_COLUMNS, Lake
from pipeline.settings import Settings

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def connect(settings: Settings) -> Backend:
    """Open an in-memory DuckDB. Beyond `settings.memory_limit` it spills to disk; it never downloads extensions."""
    con = ibis.duckdb.connect(**configuration(settings))
    prepare(con.con, settings)
    return con


def table(
    con: Backend,
    lake: Lake,
    name: str,
    version: int | None = None,
    *,
    since: date | None = None,
    until: date | None = None,
    keep: Keep | None = None,
) -> ir.Table:
    """Open a version of a lake table as an Ibis table.

    Args:
        con: a connection from `connect`.
        lake: the lake.
        name: name of the table.
        version: the version; the newest if missing.
        since: first day that is needed; files of earlier days are skipped.
        until: the day after the last one that is needed; files of later days are skipped.
        keep: selects files by their statistics instead of by day (see `Lake.files`).

    Raises:
        RefusedError: if the table does not exist.
    """
    # One version throughout, whatever others write meanwhile.
    version = lake.version(name) if version is None else version
    schema = lake.schema(name, version)
    partitions = lake.partition_columns(name, version)
    files = lake.files(name, version, keep or _between(partitions, since, until))
    if not files:
        return ibis.memtable(schema.empty_table())
    found = con.read_parquet(files, hive_partitioning=bool(partitions), hive_types_autocast=False)
    types = ibis.Schema.from_pyarrow(schema)
    return found.mutate(**{column: found[column].cast(types[column]) for column in partitions}).select(schema.names)


def kept(con: Backend, expression: ir.Table) -> ir.Table:
    """Evaluate an expression once and keep its rows in the engine, as a table for further expressions."""
    return con.create_table(f"kept_{uuid4().hex}", expression, temp=True)


def _between(partitions: Sequence[str], since: date | None, until: date | None) -> Keep | None:
    column = next((name for name in DAY_COLUMNS if name in partitions), None)
    if column is None or (since is None and until is None):
        return None
    return between(column, (since or date.min).isoformat(), (until or date.max).isoformat())
