"""The files of the lake: raw deliveries and pages. A file is written completely or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from uuid import uuid4

from upath import UPath

from pipeline.settings import Settings

CHUNK_BYTES = 1 << 22


@dataclass(frozen=True)
class Blob:
    """A file of the lake.

    Attributes:
        path: where it is, relative to home.
        sha256: SHA-256 of its bytes, in hexadecimal.
        size: number of bytes.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class StoredFile:
    """A file below home.

    Attributes:
        path: where it is, relative to home.
        size: number of bytes.
        written: when it was written, in UTC.
    """

    path: str
    size: int
    written: datetime

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name


def make_private(path: Path) -> None:
    """Let only its owner use a file or folder of the home, whatever the umask was when it was made.

    A folder with the set-group-ID bit is shared with its group on purpose, and so are the files in it: of them only
    the rights of others are taken. Folders that are not this user's, or that everybody shares, are left as they are.
    """
    try:
        about, folder = path.stat(), (path if path.is_dir() else path.parent).stat()
        if about.st_uid != os.geteuid() or about.st_mode & stat.S_ISVTX or path in (Path("/"), Path.home()):
            return
        others = stat.S_IRWXO if folder.st_mode & stat.S_ISGID else stat.S_IRWXG | stat.S_IRWXO
        if about.st_mode & others:
            path.chmod(stat.S_IMODE(about.st_mode) & ~others)
    except OSError:
        # A file system without such rights, or one that is read only.
        return


class Files:
    """Files below one home, which is a folder or a bucket."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home_path

    def _make_home(self) -> None:
        """Make a local home that is missing, and keep what is in it from other users."""
        if _is_local(self.home):
            home = Path(str(self.home))
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(home)

    def path(self, *parts: str) -> UPath:
        """Return a path below home."""
        return self.home.joinpath(*parts)

    def files_below(self, folder: str, *, deep: bool = True) -> list[StoredFile]:
        """List all files below a folder, however deep or only those in it; none if it does not exist."""
        root = self.home / folder
        if _is_local(root):
            return list(_local_files(str(root), folder, deep))
        # fsspec caches a bucket's listing for the life of the process, which is weeks for a server.
        root.fs.invalidate_cache()
        return [
            StoredFile(f"{folder}/{PurePosixPath(address).relative_to(root.path)}", info["size"], _written(info))
            for address, info in root.fs.find(root.path, maxdepth=None if deep else 1, detail=True).items()
        ]

    def names_in(self, folder: str) -> set[str]:
        """The names of what is in a folder; none if it does not exist."""
        root = self.home / folder
        if not _is_local(root):
            return {file.name for file in self.files_below(folder, deep=False)}
        try:
            with os.scandir(str(root)) as found:
                return {entry.name for entry in found}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def write_blob(self, path: str, data: bytes) -> UPath:
        """Write a file below home. Readers see the old content or the new, never a part."""
        target = self.home / path
        self._make_home()
        if _is_local(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{uuid4().hex}")
            try:
                temporary.write_bytes(data)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        else:
            # An object store shows an object only after all of it has arrived.
            target.write_bytes(data)
        return target

    def land(self, table: str, delivery: str, name: str, stream: BinaryIO) -> Blob:
        """Store a delivery's bytes unchanged. The file name holds the hash of the content, so nothing is overwritten.

        Args:
            table: the table the delivery is for.
            delivery: the delivery's id, which names the folder.
            name: the file's name at the source.
            stream: the bytes.
        """
        folder = self.home / "raw" / table / delivery
        incoming = folder / f".{name}.{uuid4().hex}" if _is_local(folder) else folder / f"incoming-{uuid4().hex}"
        self._make_home()
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


def _local_files(root: str, folder: str, deep: bool) -> Iterator[StoredFile]:
    """List the files below a folder of this machine, many times faster than fsspec does."""
    try:
        found = list(os.scandir(root))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        path = f"{folder}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _local_files(entry.path, path, deep) if deep else ()
            continue
        with suppress(FileNotFoundError):  # it was removed meanwhile
            about = entry.stat()
            yield StoredFile(path, about.st_size, datetime.fromtimestamp(about.st_mtime, UTC))


def _written(info: Mapping[str, Any]) -> datetime:
    """Return when a file was written; local and GCS, S3, and in-memory file systems use different keys."""
    written = next(info[name] for name in ("mtime", "LastModified", "created") if name in info)
    return written.astimezone(UTC) if isinstance(written, datetime) else datetime.fromtimestamp(written, UTC)
