"""Unpack `.gz` and `.zip` piece by piece, so that a file that grows too much is refused before it fills the memory."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from typing import BinaryIO, cast

from pipeline.errors import RefusedError
from pipeline.ingestion.limits import refuse_growth

CHUNK_BYTES = 1 << 20


def unpack(data: bytes, name: str, max_bytes: int) -> tuple[bytes, str]:
    """Unpack a delivery as its name says: `.zip`, `.gz`, or a gzipped file within a zip archive.

    Args:
        data: its bytes.
        name: its name.
        max_bytes: how many bytes it may have when it is unpacked.

    Returns:
        The bytes of the file and its name; what came, if the name has neither ending.

    Raises:
        RefusedError: if it is damaged, encrypted, too large, or an archive that does not hold exactly one file.
    """
    if name.endswith(".zip"):
        data, name = _unzip(data, name, max_bytes)
    if name.endswith(".gz"):
        data = _decompress(data, name, max_bytes)
    return data, name


def _unzip(data: bytes, name: str, max_bytes: int) -> tuple[bytes, str]:
    """The only file in a zip archive, and its name."""
    try:
        source = io.BytesIO(data)
        with zipfile.ZipFile(source) as archive:
            files = [info for info in archive.infolist() if not _is_clutter(info)]
            if len(files) != 1:
                names = [info.filename for info in files[:20]]
                raise RefusedError(
                    "The zip archive does not hold exactly one file",
                    where=name,
                    observed=", ".join(names) + (f" and {len(files) - 20:,} more" if len(files) > 20 else "")
                    or "no file",
                    allowed="one file",
                    todo="deliver the files one by one, or unpack it and name the wanted file in sources.yaml",
                )
            refuse_growth(files[0].file_size, len(data), name, max_bytes)
            with archive.open(files[0]) as stream:
                inner = _read(cast("BinaryIO", stream), source, name, max_bytes)
            return inner, f"{name}/{files[0].filename}"
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        # RuntimeError is what zipfile raises for an encrypted file.
        raise RefusedError(
            "The zip archive is damaged, encrypted or ends early",
            where=name,
            observed=str(error),
            todo="ask the source to send it again, without a password",
        ) from error


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    """Whether an entry of an archive is a folder, or a hidden file as macOS adds them."""
    parts = info.filename.split("/")
    return info.is_dir() or "__MACOSX" in parts or parts[-1].startswith(".")


def _decompress(data: bytes, name: str, max_bytes: int) -> bytes:
    try:
        source = io.BytesIO(data)
        with gzip.GzipFile(fileobj=source) as stream:
            return _read(cast("BinaryIO", stream), source, name, max_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RefusedError(
            "The gzip file is damaged or ends early",
            where=name,
            observed=str(error),
            todo="ask the source to send it again",
        ) from error


def _read(stream: BinaryIO, source: io.BytesIO, name: str, max_bytes: int) -> bytes:
    """Read a stream that unpacks `source`; how far it has read there says how much it has grown so far."""
    chunks, size = [], 0
    while chunk := stream.read(CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        refuse_growth(size, source.tell(), name, max_bytes)
    return b"".join(chunks)
