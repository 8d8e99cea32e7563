"""Open data from its publisher: downloaded once, resumed where it broke off, checked before it has its name."""

from __future__ import annotations

import hashlib
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
from pipeline.ingestion.sources import Format

TIMEOUT_SECONDS = 30.0
HERE = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Dataset:
    """A workbook inside a zip, as it was published.

    Attributes:
        url: the zip's address; https, unless it is on this machine.
        member: the workbook's name inside the zip, and the name it gets.
        size, sha256: of the workbook.
        columns, rows: its header, and the number of rows below it.
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
    """A file that is there and right; `size` in bytes."""

    path: Path
    rows: int
    size: int


def fetch_dataset(dataset: Dataset, folder: Path) -> Fetched:
    """Download a data set, unless it is there already.

    A download that was broken off continues where it stopped, if the server can and still has the same file.

    Raises:
        UsageError: if the address is not https.
        RefusedError: if the server cannot be reached or has no such file, or if what came is not what was published.
    """
    target = folder / dataset.member
    done = Fetched(target, dataset.rows, dataset.size)
    if target.exists() and _sha256(target) == dataset.sha256:
        return done
    _refuse_plain(dataset.url)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{dataset.member}.zip.part"
    _download(dataset.url, part)
    try:
        _unpack(dataset, part, target)
    finally:
        # Whole, but perhaps not what it should be: to continue it would be no use.
        part.unlink(missing_ok=True)
        _mark(part).unlink(missing_ok=True)
    return done


def _refuse_plain(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in HERE:
        raise UsageError("Data is fetched over https only", observed=url, allowed="https://…")


def _mark(part: Path) -> Path:
    """The file that says of which version of the server's file a part is."""
    return part.with_name(f"{part.name}.version")


def _download(url: str, part: Path) -> None:
    mark = _mark(part)
    version = mark.read_text() if mark.exists() and part.exists() else ""
    begun = part.stat().st_size if version else 0
    headers = {"Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-", "If-Range": version}
    try:
        with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=TIMEOUT_SECONDS) as answer:
            _refuse_plain(str(answer.url))
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and begun:
                # All of it was there already, or the server has another file now: begin anew.
                mark.unlink()
                return _download(url, part)
            if answer.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                raise RefusedError(
                    "The server did not give the file",
                    where=url,
                    observed=f"{answer.status_code} {answer.reason_phrase}",
                    todo="try again later; if it persists, the address may have changed",
                )
            resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
            mark.write_text(_version(answer))
            total = _total(answer, begun)
            with part.open("ab" if resumed else "wb") as out, _progress(part.name, total) as advance:
                advance(out.tell())
                for chunk in answer.iter_raw():
                    out.write(chunk)
                    advance(out.tell())
    except httpx.HTTPError as error:
        kept = part.stat().st_size if part.exists() else 0
        raise RefusedError(
            "The download broke off",
            where=url,
            observed=f"{error or type(error).__name__}; {kept:,} bytes are kept",
            todo="check the connection and run it again: it continues where it stopped, if the server can",
        ) from error
    size = part.stat().st_size
    if total is not None and size != total:
        raise RefusedError(
            "The download has another size than the server said",
            where=url,
            observed=f"{size:,} bytes",
            allowed=f"{total:,} bytes",
            todo="run it again",
        )
    return None


def _version(answer: httpx.Response) -> str:
    """What the server calls this version of the file; a weak tag does not promise the same bytes."""
    tag = answer.headers.get("ETag", "")
    return str(tag) if tag and not tag.startswith("W/") else str(answer.headers.get("Last-Modified", ""))


def _total(answer: httpx.Response, begun: int) -> int | None:
    """The size of the whole file, if the server says it.

    Raises:
        RefusedError: if it sends another range than was asked for.
    """
    if answer.status_code == httpx.codes.PARTIAL_CONTENT:
        told = str(answer.headers.get("Content-Range", ""))
        found = re.fullmatch(rf"bytes {begun}-\d+/(\d+|\*)", told)
        if found is None:
            raise RefusedError(
                "The server sent another part of the file than was asked for",
                where=str(answer.url),
                observed=told or "no Content-Range",
                allowed=f"bytes {begun}-…",
                todo="remove the .part file and run it again",
            )
        return None if found[1] == "*" else int(found[1])
    length = answer.headers.get("Content-Length")
    return None if length is None else int(length)


def _unpack(dataset: Dataset, archive: Path, target: Path) -> None:
    """Take the workbook out of the zip, check it, and give it its name."""
    try:
        with zipfile.ZipFile(archive) as book:
            size = book.getinfo(dataset.member).file_size
            if size != dataset.size:
                raise _other(dataset, f"{size:,} bytes", f"{dataset.size:,} bytes")
            data = book.read(dataset.member)  # checks the CRC
    except KeyError as error:
        raise _other(dataset, "no such file in the zip", dataset.member) from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise _other(dataset, f"no whole zip: {error}", "the zip as published") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != dataset.sha256:
        raise _other(dataset, f"SHA-256 {digest}", dataset.sha256)
    rows = read_rows(data, dataset.member, Format(type="xlsx"))
    if (tuple(rows.table.column_names), rows.read) != (dataset.columns, dataset.rows):
        raise _other(
            dataset,
            f"{rows.read:,} rows of {', '.join(rows.table.column_names)}",
            f"{dataset.rows:,} rows of {', '.join(dataset.columns)}",
        )
    unpacked = target.with_name(f".{target.name}.part")
    try:
        unpacked.write_bytes(data)
        unpacked.replace(target)
    finally:
        unpacked.unlink(missing_ok=True)


def _other(dataset: Dataset, observed: str, allowed: str) -> RefusedError:
    return RefusedError(
        "What came is not what was published",
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
    """A bar on the terminal; what it gives takes the number of bytes there are."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda completed: bar.update(task, completed=completed)
