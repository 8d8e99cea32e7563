"""The versions of tables that were opened last, so that opening a table again reads only what is new in its log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deltalake import DeltaTable
from upath import UPath

MAX_COMMITS = 10
"""After so many commits a version is opened anew: each commit leaves a part of its own in it, and all are gone through
whenever it is used. With a checkpoint every so many commits, opening it reads few of them."""


class Snapshots:
    """Opens versions of tables, and keeps the one of each table that was opened last.

    Opening a table reads what its log says of every file. A version that is kept is brought up to date from the
    commits since then instead, which takes the same time however many files there are. It is kept only while the
    commit that made it is the very file that it was, so a table that was moved away or written anew is noticed.

    A version is handed to one thread at a time, because bringing it up to date or writing to it changes the object.

    Args:
        folder: the folder of the tables.
        options: what Delta needs to know of the storage.
    """

    def __init__(self, folder: UPath, options: Mapping[str, str]) -> None:
        self._folder = folder
        self._files = folder.fs
        self._options = dict(options) or None
        self._kept: dict[str, tuple[DeltaTable, Mapping[str, Any]]] = {}
        self._first: dict[str, int] = {}
        """The version of each table as which it was opened from its log."""

    def exists(self, table: str) -> bool:
        """Tell whether a table has ever been written."""
        kept = self._kept.get(table)
        if kept and self._commit(table, kept[0].version()) == kept[1]:
            return True
        return DeltaTable.is_deltatable(self._uri(table), self._options)

    def take(self, table: str, version: int | None = None) -> DeltaTable:
        """Open a version of a table, the newest if missing. It is the caller's alone until `keep` takes it back.

        Raises:
            TableNotFoundError: if the table does not exist.
        """
        opened, commit = self._kept.pop(table, (None, None))
        if opened is not None and version is not None and opened.version() == version:
            return opened
        if opened is None or version is not None or self._commit(table, opened.version()) != commit:
            opened = DeltaTable(self._uri(table), version=version, storage_options=self._options)
            self._first[table] = opened.version()
        elif self._commit(table, opened.version() + 1):
            opened.update_incremental()
        return opened

    def keep(self, table: str, opened: DeltaTable) -> None:
        """Keep a version of a table for when it is opened next."""
        version = opened.version()
        if version < self._first[table] + MAX_COMMITS and (commit := self._commit(table, version)):
            self._kept[table] = opened, commit

    def _commit(self, table: str, version: int) -> Mapping[str, Any]:
        """What the storage says of the file of a commit, such as its size and time; nothing if it is not there."""
        path = f"{self._folder.path}/{table}/_delta_log/{version:020}.json"
        # fsspec caches a bucket's listing for the life of the process.
        self._files.invalidate_cache(path)
        try:
            return dict(self._files.info(path))
        except FileNotFoundError:
            return {}

    def _uri(self, table: str) -> str:
        return str(self._folder / table)
