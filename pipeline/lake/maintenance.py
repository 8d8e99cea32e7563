"""Maintenance of the tables and files of a lake: what no reader needs any more is removed, small files are joined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from shutil import rmtree
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

from pipeline.lake.commits import CONFIGURATION, KEEP_LOG
from pipeline.lake.files import Files, StoredFile
from pipeline.lake.scratch import abandoned
from pipeline.settings import Settings

MIN_RETENTION = timedelta(days=7)
"""No file younger than this is removed: a writer may have written it and not committed it yet."""
MANY_FILES = 8
"""From so many files of one partition on, they are joined."""
CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
KEPT_CHECKPOINTS = 100
"""One checkpoint in so many commits stays, however old it is: reading a commit takes a millisecond."""
TEMPORARY = re.compile(r"^\..+\.[0-9a-f]{32}$|^incoming-[0-9a-f]{32}$")
"""Names that a file has until it is complete; one that stays was left by a process that was killed."""


@dataclass(frozen=True)
class Removed:
    """Files that were removed, or would be: how many, and their bytes."""

    files: int = 0
    size: int = 0

    def __add__(self, other: Removed) -> Removed:
        return Removed(self.files + other.files, self.size + other.size)


NOTHING = Removed()


class Maintenance(Files):
    """Maintenance of the tables and files below one home.

    Args:
        settings: the settings.
        dry_run: whether to say only what would be done.
    """

    def __init__(self, settings: Settings, *, dry_run: bool = False) -> None:
        super().__init__(settings)
        self._options = settings.storage_options or None
        self._dry_run = dry_run

    def tables(self) -> list[str]:
        """The names of all tables, in order."""
        folder = self.path("lake")
        if not folder.exists():
            return []
        return sorted(child.name for child in folder.iterdir() if (child / "_delta_log").exists())

    def update_configuration(self, table: str) -> bool:
        """Give a table that an earlier release created the configuration of today; see `commits.CONFIGURATION`.

        Returns:
            Whether it lacked any of it. A table that another writer changes meanwhile is left as it is.
        """
        opened = self._open(table)
        if opened.metadata().configuration.items() >= CONFIGURATION.items():
            return False
        if not self._dry_run:
            try:
                opened.alter.set_table_properties(CONFIGURATION, raise_if_not_exists=False)
            except CommitFailedError:
                return False
        return True

    def join_small_files(self, table: str) -> int:
        """Join the files of each partition that has many of them; the rows stay what they are.

        Returns:
            The number of files that were joined. A partition that another writer changes meanwhile is left as it is.
        """
        opened = self._open(table)
        columns = opened.metadata().partition_columns
        files = pa.table(opened.get_add_actions(flatten=True)).to_pylist()
        counts = Counter(tuple(str(file[f"partition.{name}"]) for name in columns) for file in files)
        many = {values: number for values, number in counts.items() if number >= MANY_FILES}
        if self._dry_run:
            return sum(many.values())
        joined = 0
        for values, number in many.items():
            where = [(name, "=", value) for name, value in zip(columns, values, strict=True)]
            try:
                self._open(table).optimize.compact(where or None, post_commithook_properties=KEEP_LOG)
            except CommitFailedError:
                continue
            joined += number
        return joined

    def remove_old_versions(self, table: str, needed: Collection[int], older_than: timedelta) -> Removed:
        """Remove the data files that only versions replaced longer ago than `older_than` have, and no needed version.

        Files that belong to no version, because a writer was killed before its commit, are removed as well.

        Args:
            table: its name.
            needed: versions that must stay readable, however old they are.
            older_than: at least `MIN_RETENTION`.

        Raises:
            ValueError: if `older_than` is too short.
        """
        if older_than < MIN_RETENTION:
            raise ValueError(f"a file must be at least {MIN_RETENTION} old before it may be removed")
        opened = self._open(table)
        keep = sorted({opened.version(), *(version for version in needed if self._is_readable(table, version))})
        hours = int(older_than.total_seconds() // 3600)
        listed = opened.vacuum(hours, dry_run=True, full=True, keep_versions=keep)
        # Delta also lists what it removed before.
        sizes = {file.path.removeprefix(f"lake/{table}/"): file.size for file in self.files_below(f"lake/{table}")}
        there = [sizes[name] for path in listed for name in {path, unquote(path)} if name in sizes]
        removed = Removed(len(there), sum(there))
        if removed.files and not self._dry_run:
            # Delta finds the files anew, so that none is removed that has become needed meanwhile.
            opened.vacuum(hours, dry_run=False, full=True, keep_versions=keep, post_commithook_properties=KEEP_LOG)
        return removed

    def remove_checkpoints(self, table: str, now: datetime) -> Removed:
        """Remove old checkpoints of a table's log, but for one in `KEPT_CHECKPOINTS` commits.

        A checkpoint repeats what all commits before it say, so of a table that is written every night all of them
        together grow with the square of its nights. The commits stay, so every version stays readable: from a
        checkpoint that is left, and the commits since then. None is removed that is younger than `MIN_RETENTION`.
        """
        found = (
            (int(match[1]), file)
            for file in self.files_below(f"lake/{table}/_delta_log")
            if (match := CHECKPOINT.fullmatch(file.name))
        )
        kept, removable = -KEPT_CHECKPOINTS, list[StoredFile]()
        # The newest is the one from which the table is opened.
        for version, file in sorted(found, key=lambda entry: entry[0])[:-1]:
            if version - kept >= KEPT_CHECKPOINTS:
                kept = version
            elif file.written < now - MIN_RETENTION:
                removable.append(file)
        return self._remove(removable)

    def remove_commits(self, table: str, now: datetime, older_than: timedelta) -> Removed:
        """Remove the log of what a table was longer ago than `older_than`; its rows stay, and every version since then.

        Whoever opens or writes a table lists its log, so a table that is written many times a night becomes slow by it.

        Args:
            table: its name. No commit of it must be needed, such as for the versions that models were trained on.
            now: the time that ages are measured from.
            older_than: at least `MIN_RETENTION`.
        """
        log = self.files_below(f"lake/{table}/_delta_log")
        old = [file for file in log if file.written < now - max(older_than, MIN_RETENTION)]
        # The version of the newest old checkpoint can be read without anything before it.
        first = max((int(match[1]) for file in old if (match := CHECKPOINT.fullmatch(file.name))), default=0)
        return self._remove(
            file for file in old if (number := file.name.partition(".")[0]).isdecimal() and int(number) < first
        )

    def remove_leftovers(self, now: datetime) -> Removed:
        """Remove incomplete raw files, pages and states that killed processes left more than `MIN_RETENTION` ago."""
        files = [file for folder in ("raw", "reports", "state") for file in self.files_below(folder)]
        return self._remove(file for file in files if TEMPORARY.match(file.name) and file.written < now - MIN_RETENTION)

    def remove_scratch(self, now: datetime) -> Removed:
        """Remove the temporary folders that killed processes left on this machine; see `scratch.py`."""
        removed = NOTHING
        for folder, size in abandoned(now).items():
            if not self._dry_run:
                rmtree(folder, ignore_errors=True)
            removed += Removed(1, size)
        return removed

    def remove_reports(self, now: datetime, older_than: timedelta) -> Removed:
        """Remove pages and what belongs to them, written longer ago than `older_than`; the shared script stays."""
        files = (file for file in self.files_below("reports") if not file.path.startswith("reports/assets/"))
        return self._remove(file for file in files if file.written < now - older_than)

    def remove_states(self, now: datetime, older_than: timedelta) -> Removed:
        """Remove stored states of models, written longer ago than `older_than`; the newest day of each model stays."""
        states = [file for file in self.files_below("state") if not file.name.startswith(".")]
        newest = {file.path.rpartition("/")[0]: file.path for file in sorted(states, key=lambda file: file.path)}
        return self._remove(
            file for file in states if file.written < now - older_than and file.path not in newest.values()
        )

    def _remove(self, files: Iterable[StoredFile]) -> Removed:
        removed = NOTHING
        for file in files:
            if not self._dry_run:
                self.path(file.path).unlink(missing_ok=True)
            removed += Removed(1, file.size)
        return removed

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(str(self.path("lake", table)), version=version, storage_options=self._options)

    def _is_readable(self, table: str, version: int) -> bool:
        """Whether the log still has a version; one that earlier releases let Delta remove cannot be kept."""
        try:
            self._open(table, version)
        except DeltaError:
            return False
        return True
