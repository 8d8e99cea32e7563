"""Download open data from its publisher: once, resuming after an interruption, and checked before it gets its name.

Resuming is why this is own code: pooch starts an interrupted download again from its first byte.
"""

from __future__ import annotations

import hashlib
import logging
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.source_schema import Format
from pipeline.logs import log_event, log_step

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30.0
LOOPBACK = ("127.0.0.1", "localhost")
"""Hosts from which plain http is allowed."""


@dataclass(frozen=True)
class Dataset:
    """A published workbook inside a zip archive.

    Attributes:
        url: the archive's address; https, unless the host is this machine.
        member: the workbook's name in the archive and on disk.
        size, sha256: the workbook's size in bytes and its checksum.
        columns, rows: the names in its header, and the number of rows below it.
    """

    url: str
    member: str
    size: int
    sha256: str
    columns: tuple[str, ...]
    rows: int


DATASETS = {
    "online-retail": Dataset(
        # UCI Machine Learning Repository, id 352: D. Chen, doi 10.24432/C5BW33, CC BY 4.0.
        url="https://archive.ics.uci.edu/static/public/352/online+retail.zip",
        member="Online Retail.xlsx",
        size=23_715_344,
        sha256="43465a06f2ccf7c8b5bd2892bc7defb52f97487934fe93b16ae4c3936424676d",
        columns=(
            "InvoiceNo",
            "StockCode",
            "Description",
            "Quantity",
            "InvoiceDate",
            "UnitPrice",
            "CustomerID",
            "Country",
        ),
        rows=541_909,
    )
}


@dataclass(frozen=True)
class Fetched:
    """A downloaded file that passed every check; `size` in bytes."""

    path: Path
    rows: int
    size: int


def fetch_dataset(dataset: Dataset, folder: Path) -> Fetched:
    """Download a data set, unless it was downloaded before.

    An interrupted download is resumed if the server supports ranges and still has the same version of the file.

    Raises:
        UsageError: if the address is not https.
        RefusedError: if the server cannot be reached or has no such file, or if the file is not the published one.
    """
    target = folder / dataset.member
    done = Fetched(target, dataset.rows, dataset.size)
    if target.exists() and _sha256(target) == dataset.sha256:
        return done
    _refuse_plain(dataset.url)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{dataset.member}.zip.part"
    with log_step(log, "download", name=dataset.member):
        _download(dataset.url, part)
    try:
        with log_step(log, "check", name=dataset.member):
            _unpack(dataset, part, target)
    finally:
        # Whether it passed the checks or not, a complete archive is not resumed.
        part.unlink(missing_ok=True)
        _version_file(part).unlink(missing_ok=True)
    return done


def _refuse_plain(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise UsageError("Data is fetched over https only", observed=url, allowed="https://…")


def _version_file(part: Path) -> Path:
    """Where the server's version of a partly downloaded file is kept."""
    return part.with_name(f"{part.name}.version")


def _download(url: str, part: Path) -> None:
    version_file = _version_file(part)
    version = version_file.read_text() if version_file.exists() and part.exists() else ""
    start = part.stat().st_size if version else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        log_event(log, "download resumed", url=url, bytes=start)
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    try:
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT_SECONDS) as response:
            _refuse_plain(str(response.url))
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                # The part is complete already, or the server has another file now: start again.
                version_file.unlink()
                return _download(url, part)
            if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                raise RefusedError(
                    "The server did not return the file",
                    where=url,
                    observed=f"{response.status_code} {response.reason_phrase}",
                    todo="try again later; if it persists, the address may have changed",
                )
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            version_file.write_text(_version(response))
            total = _total(response, start)
            with part.open("ab" if resumed else "wb") as out, _progress(part.name, total) as advance:
                advance(out.tell())
                for chunk in response.iter_raw():
                    out.write(chunk)
                    advance(out.tell())
    except httpx.HTTPError as error:
        kept = part.stat().st_size if part.exists() else 0
        raise RefusedError(
            "The download was interrupted",
            where=url,
            observed=f"{error or type(error).__name__}; {kept:,} bytes are kept",
            todo="check the connection and run it again: it is resumed if the server supports that",
        ) from error
    size = part.stat().st_size
    if total is not None and size != total:
        raise RefusedError(
            "The download has another size than the server announced",
            where=url,
            observed=f"{size:,} bytes",
            allowed=f"{total:,} bytes",
            todo="run it again",
        )
    return None


def _version(response: httpx.Response) -> str:
    """The server's identifier of this version of the file; a weak tag does not promise the same bytes."""
    tag = response.headers.get("ETag", "")
    return str(tag) if tag and not tag.startswith("W/") else str(response.headers.get("Last-Modified", ""))


def _total(response: httpx.Response, start: int) -> int | None:
    """The size of the whole file in bytes, None if the server does not announce it.

    Raises:
        RefusedError: if the server sends another range than was requested.
    """
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        content_range = str(response.headers.get("Content-Range", ""))
        found = re.fullmatch(rf"bytes {start}-\d+/(\d+|\*)", content_range)
        if found is None:
            raise RefusedError(
                "The server sent another part of the file than was requested",
                where=str(response.url),
                observed=content_range or "no Content-Range",
                allowed=f"bytes {start}-…",
                todo="remove the .part file and run it again",
            )
        return None if found[1] == "*" else int(found[1])
    length = response.headers.get("Content-Length")
    return None if length is None else int(length)


def _unpack(dataset: Dataset, archive: Path, target: Path) -> None:
    """Extract the workbook from the archive, check it, and move it to its name."""
    try:
        with zipfile.ZipFile(archive) as book:
            size = book.getinfo(dataset.member).file_size
            if size != dataset.size:
                raise _not_as_published(dataset, f"{size:,} bytes", f"{dataset.size:,} bytes")
            data = book.read(dataset.member)  # checks the CRC
    except KeyError as error:
        raise _not_as_published(dataset, "no such file in the archive", dataset.member) from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise _not_as_published(dataset, f"no complete archive: {error}", "the archive as published") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != dataset.sha256:
        raise _not_as_published(dataset, f"SHA-256 {digest}", dataset.sha256)
    rows = read_rows(data, dataset.member, Format(type="xlsx"))
    if (tuple(rows.table.column_names), rows.total_rows) != (dataset.columns, dataset.rows):
        raise _not_as_published(
            dataset,
            f"{rows.total_rows:,} rows of {', '.join(rows.table.column_names)}",
            f"{dataset.rows:,} rows of {', '.join(dataset.columns)}",
        )
    unpacked = target.with_name(f".{target.name}.part")
    try:
        unpacked.write_bytes(data)
        unpacked.replace(target)
    finally:
        unpacked.unlink(missing_ok=True)


def _not_as_published(dataset: Dataset, observed: str, allowed: str) -> RefusedError:
    return RefusedError(
        "The download is not the published file",
        where=f"{dataset.url}, {dataset.member}",
        observed=observed,
        allowed=allowed,
        todo="run it again; if it persists, the publisher has changed the file",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _progress(name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal.

    Yields:
        A function that takes the number of bytes downloaded so far.
    """
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True, markup=False, emoji=False)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda completed: bar.update(task, completed=completed)
