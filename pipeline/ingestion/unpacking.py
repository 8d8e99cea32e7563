"""Unpack `.gz` and `.zip` piece by piece, so that a file that grows too much is refused before it fills the memory."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

from pipeline.errors import RefusedError
from pipeline.ingestion.limits import refuse_growth

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

CHUNK_BYTES = 1 << 20


def unpack(stream: BinaryIO, name: str, max_bytes: int) -> tuple[BinaryIO, str]:
    """Unpack a delivery as its name says: `.zip`, `.gz`, or a gzipped file within a zip archive.

    Args:
        stream: its bytes, from the first one; it can be read again from any place.
        name: its name.
        max_bytes: how many bytes it may have when it is unpacked.

    Returns:
        The bytes of the file, which are unpacked while they are read, and its name; what came, if the name has neither
        ending. Reading raises `RefusedError` too.

    Raises:
        RefusedError: if it is damaged, encrypted, too large, or an archive that does not hold exactly one file.
    """
    if name.endswith(".zip"):
        stream, name = _unzip(stream, name, max_bytes)
    if name.endswith(".gz"):
        damages: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error)
        unpacked = gzip.GzipFile(fileobj=stream)
        stream = _bounded(
            cast("BinaryIO", unpacked), stream, name, max_bytes, damages, "gzip file is damaged or ends early"
        )
    return stream, name


def _unzip(source: BinaryIO, name: str, max_bytes: int) -> tuple[BinaryIO, str]:
    """The only file in a zip archive, and its name."""
    what = "zip archive is damaged, encrypted or ends early"
    try:
        size = source.seek(0, io.SEEK_END)
        archive = zipfile.ZipFile(source)
        files = [info for info in archive.infolist() if not _is_clutter(info)]
        if len(files) != 1:
            names = [info.filename for info in files[:20]]
            raise RefusedError(
                "The zip archive does not hold exactly one file",
                where=name,
                observed=", ".join(names) + (f" and {len(files) - 20:,} more" if len(files) > 20 else "") or "no file",
                allowed="one file",
                todo="deliver the files one by one, or unpack it and name the wanted file in sources.yaml",
            )
        refuse_growth(files[0].file_size, size, name, max_bytes)
        unpacked = archive.open(files[0])
    except DAMAGES as error:
        raise _damaged(what, name, error) from error
    return _bounded(cast("BinaryIO", unpacked), source, name, max_bytes, DAMAGES, what), f"{name}/{files[0].filename}"


DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError)
"""What zipfile raises for a damaged archive; RuntimeError for an encrypted file."""


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    """Whether an entry of an archive is a folder, or a hidden file as macOS adds them."""
    parts = info.filename.split("/")
    return info.is_dir() or "__MACOSX" in parts or parts[-1].startswith(".")


def _bounded(
    unpacked: BinaryIO, source: BinaryIO, name: str, max_bytes: int, damages: tuple[type[Exception], ...], what: str
) -> BinaryIO:
    return io.BufferedReader(_Unpacking(unpacked, source, name, max_bytes, damages, what), CHUNK_BYTES)


class _Unpacking(io.RawIOBase):
    """The bytes that a stream unpacks from `source`; how far it has read there says how much it has grown so far."""

    def __init__(
        self,
        unpacked: BinaryIO,
        source: BinaryIO,
        name: str,
        max_bytes: int,
        damages: tuple[type[Exception], ...],
        what: str,
    ) -> None:
        self._unpacked, self._source, self._name, self._max_bytes = unpacked, source, name, max_bytes
        self._damages, self._what = damages, what
        self._size = 0

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def tell(self) -> int:
        """How many bytes were unpacked so far, which is the place in what was unpacked."""
        return self._size

    def readinto(self, buffer: Buffer) -> int:
        """Read the next bytes.

        Raises:
            RefusedError: if the packed file is damaged, or grows too much.
        """
        view = memoryview(buffer)
        try:
            chunk = self._unpacked.read(min(len(view), CHUNK_BYTES))
        except self._damages as error:
            raise _damaged(self._what, self._name, error) from error
        self._size += len(chunk)
        refuse_growth(self._size, self._source.tell(), self._name, self._max_bytes)
        view[: len(chunk)] = chunk
        return len(chunk)


def _damaged(what: str, name: str, error: Exception) -> RefusedError:
    todo = "ask the source to send it again" + (", without a password" if "encrypted" in what else "")
    return RefusedError(f"The {what}", where=name, observed=str(error), todo=todo)
