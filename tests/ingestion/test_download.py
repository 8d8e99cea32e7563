"""Downloads: complete, resumed, restarted, refused. A server on this machine takes the publisher's place."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from openpyxl import Workbook

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion.download import DATASETS, Dataset, fetch_dataset

MEMBER = "Lines of a shop.xlsx"
COLUMNS = ("InvoiceNo", "Quantity")


def workbook(rows: int) -> bytes:
    book, out = Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(COLUMNS))
    for n in range(rows):
        sheet.append([f"{536365 + n}", n + 1])
    book.save(out)
    return out.getvalue()


def zipped(data: bytes, member: str = MEMBER) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(member, data)
    return out.getvalue()


@dataclass
class Publisher:
    """The server's file and behaviour, and the requests it got."""

    body: bytes
    url: str = ""
    etag: str | None = '"one"'
    ranges: bool = True
    says_size: bool = True
    breaks_after: int | None = None
    status: int | None = None
    wrong_range: bool = False
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        asked = to.headers.get("Range")
        self.asked.append(asked)
        begin, status = 0, 200
        if asked and self.ranges and to.headers.get("If-Range") == self.etag:
            begin, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if begin >= len(self.body):
                status = 416
        to.send_response(self.status or status)
        body = b"" if status == 416 or self.status else self.body[begin:]
        if status == 206:
            shift = 1 if self.wrong_range else 0
            to.send_header("Content-Range", f"bytes {begin + shift}-{len(self.body) - 1}/{len(self.body)}")
        if self.etag:
            to.send_header("ETag", self.etag)
        if self.says_size:
            to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        body = body[: self.breaks_after]
        self.sent += len(body)
        to.wfile.write(body)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    published = Publisher(zipped(workbook(50)))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    published.url = f"http://127.0.0.1:{server.server_port}/online+retail.zip"
    yield published
    server.shutdown()
    server.server_close()


@pytest.fixture
def dataset(publisher: Publisher) -> Dataset:
    data = zipfile.ZipFile(io.BytesIO(publisher.body)).read(MEMBER)
    return Dataset(publisher.url, MEMBER, len(data), hashlib.sha256(data).hexdigest(), COLUMNS, 50)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def break_off(publisher: Publisher, dataset: Dataset, folder: Path, after: int = 1000) -> None:
    publisher.breaks_after = after
    with pytest.raises(RefusedError, match="interrupted"):
        fetch_dataset(dataset, folder)
    publisher.breaks_after = None
    assert not (folder / MEMBER).exists()


def test_a_data_set_is_downloaded_and_no_other_file_remains(
    publisher: Publisher, dataset: Dataset, tmp_path: Path
) -> None:
    done = fetch_dataset(dataset, tmp_path / "new" / "folder")
    assert (done.rows, done.size) == (50, dataset.size)
    assert done.path.read_bytes() == zipfile.ZipFile(io.BytesIO(publisher.body)).read(MEMBER)
    assert names(done.path.parent) == [MEMBER]


def test_a_correct_file_is_not_downloaded_again(publisher: Publisher, dataset: Dataset, tmp_path: Path) -> None:
    fetch_dataset(dataset, tmp_path)
    fetch_dataset(dataset, tmp_path)
    assert len(publisher.asked) == 1
    (tmp_path / MEMBER).write_bytes(b"damaged")
    fetch_dataset(dataset, tmp_path)
    assert len(publisher.asked) == 2


@pytest.mark.parametrize("says_size", [True, False])
def test_an_interrupted_download_is_resumed(
    publisher: Publisher, dataset: Dataset, tmp_path: Path, says_size: bool
) -> None:
    break_off(publisher, dataset, tmp_path)
    publisher.says_size = says_size
    fetch_dataset(dataset, tmp_path)
    assert publisher.asked == [None, "bytes=1000-"]
    assert publisher.sent == len(publisher.body)
    assert names(tmp_path) == [MEMBER]


def test_a_server_without_ranges_starts_again(publisher: Publisher, dataset: Dataset, tmp_path: Path) -> None:
    break_off(publisher, dataset, tmp_path)
    publisher.ranges = False
    fetch_dataset(dataset, tmp_path)
    assert publisher.asked == [None, "bytes=1000-"]


def test_a_part_of_another_version_is_not_resumed(publisher: Publisher, dataset: Dataset, tmp_path: Path) -> None:
    break_off(publisher, dataset, tmp_path)
    publisher.etag = '"two"'
    fetch_dataset(dataset, tmp_path)
    assert publisher.sent == 1000 + len(publisher.body)


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_version_nothing_is_resumed(
    publisher: Publisher, dataset: Dataset, tmp_path: Path, etag: str | None
) -> None:
    publisher.etag = etag
    break_off(publisher, dataset, tmp_path)
    fetch_dataset(dataset, tmp_path)
    assert publisher.asked == [None, None]


def test_a_part_that_is_already_complete_starts_again(publisher: Publisher, dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / f".{MEMBER}.zip.part").write_bytes(publisher.body)
    (tmp_path / f".{MEMBER}.zip.part.version").write_text('"one"')
    fetch_dataset(dataset, tmp_path)
    assert publisher.asked == [f"bytes={len(publisher.body)}-", None]


def test_another_range_than_requested_is_refused(publisher: Publisher, dataset: Dataset, tmp_path: Path) -> None:
    break_off(publisher, dataset, tmp_path)
    publisher.wrong_range = True
    with pytest.raises(RefusedError, match="another part"):
        fetch_dataset(dataset, tmp_path)


def test_a_missing_file_is_refused_with_the_status(publisher: Publisher, dataset: Dataset, tmp_path: Path) -> None:
    publisher.status = 404
    with pytest.raises(RefusedError, match="404"):
        fetch_dataset(dataset, tmp_path)


def test_an_unreachable_server_is_refused_with_the_reason(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="interrupted"):
        fetch_dataset(replace(dataset, url="http://127.0.0.1:9/x.zip"), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 5}, "5 bytes"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"rows": 51}, "50 rows"),
        ({"columns": ("InvoiceNo", "Units")}, "InvoiceNo, Quantity"),
        ({"member": "Other.xlsx"}, "no such file"),
    ],
)
def test_another_file_than_the_published_one_is_refused_and_removed(
    publisher: Publisher, dataset: Dataset, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(RefusedError, match=message):
        fetch_dataset(replace(dataset, **change), tmp_path)  # type: ignore[arg-type]
    assert names(tmp_path) == []


@pytest.mark.parametrize("body", [b"", b"<html>sorry</html>"])
def test_other_bytes_than_a_zip_archive_are_refused(
    publisher: Publisher, dataset: Dataset, tmp_path: Path, body: bytes
) -> None:
    publisher.body = body
    with pytest.raises(RefusedError, match="no complete archive"):
        fetch_dataset(dataset, tmp_path)
    assert names(tmp_path) == []


def test_a_flipped_byte_is_found(publisher: Publisher, dataset: Dataset, tmp_path: Path) -> None:
    spoilt = bytearray(publisher.body)
    spoilt[500] ^= 1
    publisher.body = bytes(spoilt)
    with pytest.raises(RefusedError, match="CRC"):
        fetch_dataset(dataset, tmp_path)


def test_only_https_is_allowed_to_other_hosts(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="https only"):
        fetch_dataset(replace(dataset, url="http://archive.example/x.zip"), tmp_path)
    assert all(known.url.startswith("https://") for known in DATASETS.values())
