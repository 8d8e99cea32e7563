"""Checks and repairs of tables to which rows are only ever appended, or which nothing else repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.doctor.faults import Fault, Mended
from pipeline.ingestion.delivery_warnings import WARNINGS_TABLE
from pipeline.lake.health import find_damages, set_aside
from pipeline.lake.tables import Lake
from pipeline.monitoring.request_log import PREDICTIONS
from pipeline.registry.promotions import PROMOTIONS

if TYPE_CHECKING:
    from upath import UPath

    from pipeline.settings import Settings

RECORDS: dict[str, tuple[str, ...]] = {PROMOTIONS: (), PREDICTIONS: ("day",), WARNINGS_TABLE: ("table", "delivery")}
"""The tables, and the columns by which each is partitioned."""


def record_faults(settings: Settings, *, deep: bool = False) -> list[Fault]:
    """Find what is wrong with the files of the tables of records."""
    lake = Lake(settings)
    return [
        Fault(f"{table}: {damage.detail}", f"aisle repair {table}")
        for table in RECORDS
        for damage in find_damages(lake, table, deep=deep)
    ]


def repair_records(settings: Settings, table: str, *, dry_run: bool = False) -> Mended:
    """Write a damaged table of records anew, with every row that can still be read; say what cannot."""
    lake, mended = Lake(settings), Mended()
    damages = find_damages(lake, table, deep=True)
    if not damages:
        return mended
    mended.parts = {f"{table} {number}": damage.detail for number, damage in enumerate(damages, 1)}
    if dry_run:
        return mended
    active = None if any(damage.part is None for damage in damages) else {f["path"] for f in lake.data_files(table)}
    mended.aside = set_aside(lake, table)
    found, lost = [], 0
    for path in _files(lake.path(mended.aside), active, newest_only=table == WARNINGS_TABLE):
        try:
            found.append(_with_partition(path, RECORDS[table]))
        except (pa.ArrowException, OSError, ValueError):
            lost += 1
    rows = pa.concat_tables(found, promote_options="permissive") if found else None
    if rows is not None and rows.num_rows:
        lake.append(table, rows, partition=RECORDS[table])
    kept = rows.num_rows if rows is not None else 0
    mended.parts[table] = f"{kept} rows are kept; {lost} files could not be read, and their rows are lost"
    return mended


def _files(root: UPath, active: set[str] | None, *, newest_only: bool) -> list[UPath]:
    """The data files of a damaged table: those of its log, or if the log is damaged all.

    Args:
        root: the table's folder.
        active: the paths of the log's files below the folder; None if the log is damaged.
        newest_only: whether of several files in a folder the newest replaced the others.
    """
    if active is not None:
        return [root.joinpath(unquote(path)) for path in sorted(active)]
    found = [path for path in root.rglob("*.parquet") if "_delta_log" not in path.parts]
    found = sorted(found, key=lambda path: path.stat().st_mtime)
    return list({path.parent: path for path in found}.values()) if newest_only else found


def _with_partition(path: UPath, columns: tuple[str, ...]) -> pa.Table:
    """The rows of a data file, with the columns whose values only its folders hold."""
    with path.open("rb") as stream:
        rows = pq.ParquetFile(stream).read()
    values = dict(part.split("=", 1) for part in path.parts if "=" in part)
    for column in columns:
        kind = pa.date32() if column == "day" else pa.string()
        rows = rows.append_column(column, pa.array([unquote(values[column])] * rows.num_rows, pa.string()).cast(kind))
    return rows
