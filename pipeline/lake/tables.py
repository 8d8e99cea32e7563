"""Where every table and every file lives; the only module that knows a path.

Tables are Delta tables: a write is one atomic commit, readers read a version, and two writers of the same partition
cannot both succeed unnoticed (the second is refused and may start again from what the first wrote).
Files (raw deliveries, reports) are written whole under a temporary name and then renamed.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, BinaryIO, Self
from urllib.parse import unquote
from uuid import uuid4

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from upath import UPath

from pipeline.dates import format_day, parse_as_of
from pipeline.errors import RefusedError, UsageError
from pipeline.settings import Settings

CHUNK_BYTES = 1 << 22
CONFLICT_RETRIES = 20
DAY_COLUMNS = ("day", "as_of", "checked_on", "made_on")
"""What the column may be called that a table is partitioned by when it has a part for each day."""

Partition = Mapping[str, Sequence[str | date]]


@dataclass(frozen=True)
class TableRef:
    """A table's name and version, and the day it was written for: what travels between tasks instead of rows."""

    table: str
    version: int
    day: date | None = None

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON can hold it."""
        return asdict(self) | {"day": format_day(self.day) if self.day else None}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        day = record.get("day")
        return cls(record["table"], int(record["version"]), parse_as_of(day) if day else None)


@dataclass(frozen=True)
class Blob:
    """A file of the lake: its path below home, the SHA-256 of its bytes and their number."""

    path: str
    sha256: str
    size: int


class Lake:
    """Tables and files under one home, a folder or a bucket."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home_path
        self._options = settings.storage_options or None

    # Tables

    def exists(self, table: str) -> bool:
        """Whether the table has been written at all."""
        return DeltaTable.is_deltatable(self._uri(table), self._options)

    def version(self, table: str) -> int:
        """The newest version of a table.

        Raises:
            RefusedError: if the table was never written.
        """
        return int(self._open(table).version())

    def schema(self, table: str, version: int | None = None) -> pa.Schema:
        """Column names and types of a table."""
        return pa.schema(self._open(table, version).schema().to_arrow())

    def partition_columns(self, table: str) -> list[str]:
        """The columns by which a table's files are laid out."""
        return list(self._open(table).metadata().partition_columns)

    def files(
        self, table: str, version: int | None = None, keep: Callable[[Mapping[str, Any]], bool] | None = None
    ) -> list[str]:
        """Addresses of the active files of a table's version.

        Args:
            keep: says whether a file is wanted, given what the commit says of it: `partition.<column>`,
                `min.<column>`, `max.<column>` and `num_records`; all are when it is missing.
        """
        root = self._uri(table)
        paths = [file["path"] for file in self._actions(table, version) if keep is None or keep(file)]
        return sorted(f"{root}/{unquote(path)}" for path in paths)

    def row_counts(self, table: str, column: str, version: int | None = None) -> dict[str, int]:
        """Rows of each value of a partition column, known without opening a file; none of a table never written."""
        counts: Counter[str] = Counter()
        for file in self._actions(table, version) if self.exists(table) else ():
            counts[str(file[f"partition.{column}"])] += int(file["num_records"])
        return dict(sorted(counts.items()))

    def days(self, table: str, version: int | None = None) -> list[date]:
        """The days (or as-of days) for which a table has rows, sorted; none if it was never written."""
        if not self.exists(table):
            return []
        (column,) = (c for c in self.partition_columns(table) if c in DAY_COLUMNS)
        return [date.fromisoformat(value) for value in self.row_counts(table, column, version)]

    def read(self, table: str, version: int | None = None, where: Partition | None = None) -> pa.Table:
        """A table, or some of its partitions, in memory: for what is small.

        Raises:
            RefusedError: if the table does not exist, or files of that version are gone.
        """
        # Not `to_pyarrow_table`: a thread of Arrow may then outlive its Python file system and abort a process at exit.
        target = self._open(table, version)
        asked = "SELECT * FROM asked" + (f" WHERE {_predicate(where)}" if where else "")  # noqa: S608
        try:
            rows = pa.table(QueryBuilder().register("asked", target).execute(asked).read_all())
        except Exception as error:  # Delta's queries raise nothing more particular
            raise RefusedError(
                "A version of the table can no longer be read",
                where=f"{table} version {target.version()}",
                observed=error,
                todo="use a newer version; housekeeping may have removed the files of this one",
            ) from error
        return rows.cast(pa.schema(target.schema().to_arrow()))

    def replace(self, table: str, where: Partition, rows: pa.Table) -> TableRef:
        """Make `rows` the whole content of the partitions named by `where`, in one commit.

        Args:
            where: partition column -> the values to be replaced; `rows` hold no others.
            rows: the new content; none empties those partitions.
        """
        return self.update(table, where, lambda: rows)

    def update(self, table: str, where: Partition, make_rows: Callable[[], pa.Table]) -> TableRef:
        """Like `replace`, with rows made from what the lake holds.

        `make_rows` is called after the target's version is fixed, and again whenever another writer has committed to
        the same partitions meanwhile, so what is written never misses what they wrote.

        Raises:
            RefusedError: if other writers kept winning.
        """
        day = _single_day(where)
        lost: DeltaError | None = None
        for attempt in range(CONFLICT_RETRIES):
            target = self._open(table) if self.exists(table) else None
            rows = make_rows()
            try:
                if target is None:
                    write_deltalake(
                        self._uri(table), rows, partition_by=list(where), mode="error", storage_options=self._options
                    )
                    return TableRef(table, self.version(table), day)
                # Also for no rows: unlike a deletion, an overwrite that finds nothing to remove still sees conflicts.
                write_deltalake(target, rows, mode="overwrite", predicate=_predicate(where))
                return TableRef(table, int(target.version()), day)
            except DeltaError as error:
                if not _is_conflict(error):
                    raise
                lost = error
                # Jitter keeps two writers from meeting again; it decides nothing about what is written.
                time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))  # noqa: S311
        raise RefusedError(
            "Other writers kept changing the same partitions",
            where=f"table {table}, {dict(where)}",
            observed=f"{CONFLICT_RETRIES} conflicting commits",
            todo="run the step again; if it persists, look for a task that runs in a loop",
        ) from lost

    def append(self, table: str, rows: pa.Table, partition: Sequence[str] = ()) -> TableRef:
        """Add rows to a record that only grows."""
        write_deltalake(
            self._uri(table), rows, mode="append", partition_by=list(partition) or None, storage_options=self._options
        )
        return TableRef(table, self.version(table))

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        try:
            return DeltaTable(self._uri(table), version=version, storage_options=self._options)
        except TableNotFoundError as error:
            raise RefusedError(
                f"The table {table!r} does not exist yet",
                where=self._uri(table),
                todo="run the step that writes it first (aisle ingest, aisle score …)",
            ) from error

    def _actions(self, table: str, version: int | None) -> list[dict[str, Any]]:
        actions: list[dict[str, Any]] = pa.table(self._open(table, version).get_add_actions(flatten=True)).to_pylist()
        return actions

    def _uri(self, table: str) -> str:
        return str(self.home / "lake" / table)

    # Files

    def path(self, *parts: str) -> UPath:
        """A path below home."""
        return self.home.joinpath(*parts)

    def write_blob(self, path: str, data: bytes) -> UPath:
        """Write a file below home so that nobody ever sees half of it."""
        target = self.home / path
        if _is_local(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{uuid4().hex}")
            try:
                temporary.write_bytes(data)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        else:
            # An object store shows an object only when all of it has arrived.
            target.write_bytes(data)
        return target

    def land(self, table: str, delivery: str, name: str, stream: BinaryIO) -> Blob:
        """Keep a delivery's bytes as they came, under the hash of their content, so that none is ever overwritten."""
        folder = self.home / "raw" / table / delivery
        incoming = folder / f".{name}.{uuid4().hex}" if _is_local(folder) else folder / f"incoming-{uuid4().hex}"
        if _is_local(folder):
            folder.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        try:
            with incoming.open("wb") as out:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
                    out.write(chunk)
            sha256 = digest.hexdigest()
            target = folder / f"{sha256[:16]}-{name}"
            if _is_local(folder):
                incoming.replace(target)
            else:
                incoming.fs.copy(incoming.path, target.path)
        finally:
            incoming.unlink(missing_ok=True)
        return Blob(f"raw/{table}/{delivery}/{target.name}", sha256, size)

    def open_blob(self, path: str) -> BinaryIO:
        """Open a file below home for reading."""
        stream: BinaryIO = (self.home / path).open("rb")
        return stream


def _is_local(path: UPath) -> bool:
    return path.protocol in ("", "file")


def _predicate(where: Partition) -> str:
    """The partitions as SQL, the form in which Delta takes them."""
    if not where or not all(where.values()):
        raise UsageError(
            "A replacement must name the partitions it replaces",
            observed=dict(where),
            allowed="at least one column, and at least one value of each",
        )
    clauses = []
    for column, values in where.items():
        listed = ", ".join("'" + str(value).replace("'", "''") + "'" for value in values)
        clauses.append(f"{column} IN ({listed})")
    return " AND ".join(clauses)


def _single_day(where: Partition) -> date | None:
    days = [value for values in where.values() for value in values if isinstance(value, date)]
    return days[0] if len(days) == 1 else None


def _is_conflict(error: DeltaError) -> bool:
    """Whether another writer came first (and not, say, a full disk)."""
    return isinstance(error, CommitFailedError) or "already exists" in str(error).lower()
