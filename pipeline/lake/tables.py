"""`Lake`: the tables and files of one home; with `files.py` the only code that knows where they are stored.

Tables are Delta tables. Every write is one atomic commit, readers read a fixed version, and of two writers of the same
partition the second detects the first and starts again from what it wrote.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from threading import get_ident
from typing import Any, Self
from urllib.parse import unquote

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError

from pipeline.dates import format_day, parse_as_of
from pipeline.errors import RefusedError
from pipeline.lake.commits import (
    CONFIGURATION,
    INPUTS,
    KEEP_LOG,
    RowsOrBatches,
    in_row_groups,
    writer_properties,
    written_record,
)
from pipeline.lake.files import Files
from pipeline.lake.partitions import Keep, Partition, as_json, predicate, single_day
from pipeline.lake.snapshots import Snapshots
from pipeline.lake.sql import Engine
from pipeline.lake.write_errors import is_conflict, overtaken, unwritable
from pipeline.redaction import redact
from pipeline.settings import Settings

CONFLICT_RETRIES = 20
DAY_COLUMNS = ("day", "as_of", "made_on", "checked_on")
"""Names of the column by which a table with a partition per day is partitioned; the last two in earlier releases."""


@dataclass(frozen=True)
class TableRef:
    """A table's name, its version and the day it was written for. Tasks pass this on instead of rows."""

    table: str
    version: int
    day: date | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as values that JSON can hold."""
        return asdict(self) | {"day": format_day(self.day) if self.day else None}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Restore a record from what `as_dict` returned."""
        day = record.get("day")
        return cls(record["table"], int(record["version"]), parse_as_of(day) if day else None)


class Lake(Files):
    """Tables and files below one home, which is a folder or a bucket.

    Attributes:
        engine: runs plain SQL for the steps of ingestion.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.engine = Engine(settings)
        self._options = settings.storage_options or None
        self._snapshots = Snapshots(self.home / "lake", settings.storage_options)
        self._being_replaced: dict[tuple[int, str], DeltaTable] = {}
        """While a thread updates a table, the version that it replaces; the rows are made from this one."""

    def exists(self, table: str) -> bool:
        """Tell whether the table has ever been written."""
        return (get_ident(), table) in self._being_replaced or self._snapshots.exists(table)

    def version(self, table: str) -> int:
        """Return the newest version of a table.

        Raises:
            RefusedError: if the table has never been written.
        """
        with self._opened(table) as opened:
            return int(opened.version())

    def schema(self, table: str, version: int | None = None) -> pa.Schema:
        """Return the column names and types of a table."""
        with self._opened(table, version) as opened:
            return pa.schema(opened.schema().to_arrow())

    def partition_columns(self, table: str, version: int | None = None) -> list[str]:
        """Return the columns by which a table is partitioned."""
        with self._opened(table, version) as opened:
            return list(opened.metadata().partition_columns)

    def files(self, table: str, version: int | None = None, keep: Keep | None = None) -> list[str]:
        """List the addresses of the data files of a table's version; see `data_files`."""
        root = self._uri(table)
        return sorted(f"{root}/{unquote(path)}" for path in self._files(table, version, keep)["path"].to_pylist())

    def data_files(
        self,
        table: str,
        version: int | None = None,
        keep: Keep | None = None,
        wanted: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The data files of a table's version, each with what its commit says of it: path, size, rows, statistics.

        Args:
            table: name of the table.
            version: the version; the newest if missing.
            keep: selects files by what their commits say (`partition.<column>`, `min.<column>`, `max.<column>`,
                `num_records`), of all files at once; all files if missing.
            wanted: which of it, beside the path, as far as there is such a thing; everything if missing.
        """
        found = self._files(table, version, keep)
        if wanted is not None:
            found = found.select([name for name in found.column_names if name in {"path", *wanted}])
        files: list[dict[str, Any]] = found.to_pylist()
        return files

    def _files(self, table: str, version: int | None, keep: Keep | None) -> pa.Table:
        with self._opened(table, version) as opened:
            found = pa.table(opened.get_add_actions(flatten=True))
        return found.filter(keep(found)) if keep and found.num_rows else found

    def history(self, table: str) -> list[dict[str, Any]]:
        """What the log says of each commit of a table, newest first, as far as the log goes back."""
        with self._opened(table) as opened:
            return list(opened.history())

    def row_counts(
        self, table: str, column: str, version: int | None = None, keep: Keep | None = None
    ) -> dict[str, int]:
        """Count the rows of each value of a partition column, from the commits alone; empty without a table.

        Args:
            table: name of the table.
            column: the partition column.
            version: the version; the newest if missing.
            keep: selects files; see `data_files`.
        """
        counts: Counter[str] = Counter()
        wanted = [f"partition.{column}", "num_records"]
        for file in self.data_files(table, version, keep, wanted) if self.exists(table) else ():
            counts[str(file[f"partition.{column}"])] += int(file["num_records"])
        return dict(sorted(counts.items()))

    def days(self, table: str, version: int | None = None) -> list[date]:
        """List the days (or as-of days) for which a table has rows, in order. Empty if the table does not exist."""
        if not self.exists(table):
            return []
        (column,) = (c for c in self.partition_columns(table) if c in DAY_COLUMNS)
        return [date.fromisoformat(value) for value in self.row_counts(table, column, version)]

    def read(self, table: str, version: int | None = None, where: Partition | None = None) -> pa.Table:
        """Read a table, or some of its partitions, into memory. For small tables; large ones go through the engine.

        Raises:
            RefusedError: if the table does not exist, or files of that version have been removed.
        """
        # Not `to_pyarrow_table`: a thread of Arrow may then outlive its Python file system and abort a process at exit.
        query = "SELECT * FROM target" + (f" WHERE {predicate(where)}" if where else "")  # noqa: S608
        with self._opened(table, version) as target:
            try:
                rows = pa.table(QueryBuilder().register("target", target).execute(query).read_all())
            except Exception as error:  # Delta's queries raise no narrower type
                raise RefusedError(
                    "A version of the table can no longer be read",
                    where=f"{table} version {target.version()}",
                    observed=error,
                    todo="use a newer version; housekeeping may have removed the files of this one",
                ) from error
            return rows.cast(pa.schema(target.schema().to_arrow()))

    def replace(
        self, table: str, where: Partition, rows: pa.Table, inputs: Mapping[str, int] | None = None
    ) -> TableRef:
        """Replace the content of some partitions by `rows`, in one commit.

        Args:
            table: name of the table, which is created if it does not exist.
            where: for each partition column the values to be replaced; `rows` may hold no others.
            rows: the new content; no rows empty those partitions.
            inputs: the tables that the rows are made from, and their versions; recorded with the commit.

        Raises:
            RefusedError: if conflicting commits of other writers outlast the retries.
        """
        return self.update(table, where, lambda: rows, inputs)

    def inputs(self, table: str, where: Partition, version: int | None = None) -> dict[str, int]:
        """The tables from which some partitions were made, and their versions, as the commit that wrote them records.

        Empty where the commit records none, or is no longer in the table's log.
        """
        wanted = as_json(where)
        with self._opened(table, version) as target:
            # Most often one of the last commits is asked for, and reading one takes a tenth of a millisecond.
            for limit in (16, 256, None):
                commits = target.history(limit)
                for commit in commits:
                    record = json.loads(commit.get(INPUTS, "{}"))
                    if record.get("where") == wanted and commit["version"] <= target.version():
                        return {name: int(number) for name, number in record["tables"].items()}
                if limit is None or len(commits) < limit:
                    break
        return {}

    def update(
        self,
        table: str,
        where: Partition,
        make_rows: Callable[[], RowsOrBatches],
        inputs: Mapping[str, int] | None = None,
    ) -> TableRef:
        """Replace the content of some partitions by rows that are computed from what the lake holds.

        Rows that do not fit into memory are returned as a reader, whose batches are written while it reads them; the
        commit comes after the last one.

        `make_rows` is called after the version to be replaced is fixed, and called again whenever another writer
        has committed to the same partitions in the meantime. So no concurrent write is overwritten unseen.

        Raises:
            RefusedError: if conflicting commits of other writers outlast the retries.
        """
        day = single_day(where)
        lost: DeltaError | None = None
        made_from = {INPUTS: json.dumps({"where": as_json(where), "tables": dict(inputs)})} if inputs else {}
        for attempt in range(CONFLICT_RETRIES):
            target = self._take(table) if self.exists(table) else None
            rows = in_row_groups(self._made_from(table, target, make_rows))
            metadata = made_from | written_record(where, rows) or None
            try:
                if target is None:
                    self._create(table, rows, list(where), metadata)
                    return TableRef(table, 0, day)
                # Empty rows are written too: unlike a deletion, an overwrite without rows still detects conflicts.
                # A column that a later release adds is missing in the rows of earlier days, and reads as null there.
                known = set(target.schema().to_arrow().names)
                adds = isinstance(rows, RowsOrBatches) and set(rows.schema.names) > known
                write_deltalake(
                    target,
                    rows,
                    mode="overwrite",
                    schema_mode="merge" if adds else None,
                    predicate=predicate(where),
                    writer_properties=writer_properties(rows),
                    commit_properties=CommitProperties(custom_metadata=metadata),
                    post_commithook_properties=KEEP_LOG,
                )
                self._snapshots.keep(table, target)
                return TableRef(table, int(target.version()), day)
            except DeltaError as error:
                if not is_conflict(error):
                    raise unwritable(table, error) from error
                lost = error
                _wait(attempt)
        raise overtaken(table, str(dict(where)), CONFLICT_RETRIES) from lost

    def _made_from(
        self, table: str, target: DeltaTable | None, make_rows: Callable[[], RowsOrBatches]
    ) -> RowsOrBatches:
        """Make the rows of an update from the very version that it replaces."""
        if target is None:
            return make_rows()
        update = (get_ident(), table)
        self._being_replaced[update] = target
        try:
            return make_rows()
        finally:
            del self._being_replaced[update]

    def rename_columns(self, table: str, names: Mapping[str, str]) -> bool:
        """Rewrite a table with some columns renamed, also those it is partitioned by, in one commit.

        Args:
            table: its name.
            names: old name -> new name.

        Returns:
            Whether this call renamed any; a table that does not exist has none of the old names.

        Raises:
            RefusedError: if conflicting commits of other writers outlast the retries.
        """
        lost: DeltaError | None = None
        for attempt in range(CONFLICT_RETRIES):
            if not self.exists(table) or not set(names) & set(self.schema(table).names):
                return False
            target = self._take(table)
            version = target.version()
            rows = self.read(table, version)
            renamed = rows.rename_columns([names.get(name, name) for name in rows.column_names])
            partition = [names.get(name, name) for name in self.partition_columns(table)]
            try:
                # Delta would repeat a commit that came too late, and leave another writer's rows under the old columns.
                write_deltalake(
                    target,
                    renamed,
                    mode="overwrite",
                    schema_mode="overwrite",
                    partition_by=partition,
                    commit_properties=CommitProperties(max_commit_retries=0),
                    post_commithook_properties=KEEP_LOG,
                )
                return True
            except DeltaError as error:
                if self.version(table) == version:
                    raise unwritable(table, error) from error
                lost = error
                _wait(attempt)
        what = "Other writers kept changing the table"
        raise RefusedError(
            what, where=f"table {table}", todo="run the step again when nothing else writes it"
        ) from lost

    def append(self, table: str, rows: pa.Table, partition: Sequence[str] = ()) -> TableRef:
        """Append rows to a table, which is created if it does not exist.

        Raises:
            RefusedError: if conflicting commits of other writers outlast the retries.
        """
        lost: DeltaError | None = None
        for attempt in range(CONFLICT_RETRIES):
            try:
                if not self.exists(table):
                    self._create(table, rows, list(partition))
                    return TableRef(table, 0)
                target = self._take(table)
                write_deltalake(target, rows, mode="append", post_commithook_properties=KEEP_LOG)
                self._snapshots.keep(table, target)
                return TableRef(table, int(target.version()))
            except DeltaError as error:
                if not is_conflict(error):
                    raise unwritable(table, error) from error
                lost = error
                _wait(attempt)
        raise overtaken(table, "all partitions", CONFLICT_RETRIES) from lost

    def _create(
        self, table: str, rows: RowsOrBatches, partition: list[str], metadata: dict[str, str] | None = None
    ) -> None:
        """Create a table with its first rows, as version 0.

        Raises:
            DeltaError: a conflict, if another writer creates the table first.
        """
        # By default Delta repeats a commit that came too late, as version 1: both writers' rows would stay, and the
        # table would be doubled. Without retries only one writer of version 0 succeeds.
        self._make_home()
        write_deltalake(
            self._uri(table),
            rows,
            partition_by=partition or None,
            mode="error",
            storage_options=self._options,
            configuration=CONFIGURATION,
            writer_properties=writer_properties(rows),
            commit_properties=CommitProperties(custom_metadata=metadata, max_commit_retries=0),
        )

    @contextmanager
    def _opened(self, table: str, version: int | None = None) -> Iterator[DeltaTable]:
        """Open a version of a table for reading: the newest if missing, or that which this thread replaces."""
        if version is None and (replaced := self._being_replaced.get((get_ident(), table))):
            yield replaced
            return
        opened = self._take(table, version)
        yield opened
        self._snapshots.keep(table, opened)

    def _take(self, table: str, version: int | None = None) -> DeltaTable:
        """Open a version of a table for writing, which changes the object."""
        try:
            return self._snapshots.take(table, version)
        except TableNotFoundError as error:
            raise RefusedError(
                f"The table {table!r} does not exist yet",
                where=self._uri(table),
                todo="run the step that writes it first (aisle ingest, aisle score …)",
            ) from error

    def address(self, table: str) -> str:
        """The address of a table as people may read it, without passwords."""
        return redact(self._uri(table))

    def _uri(self, table: str) -> str:
        return str(self.home / "lake" / table)


def _wait(attempt: int) -> None:
    # The random delay keeps two writers from colliding again; it does not affect what is written.
    time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))  # noqa: S311
