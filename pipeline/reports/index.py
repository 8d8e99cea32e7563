"""The index of all report pages, and safe access to their files."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from pipeline.lake.tables import Lake
from pipeline.reports.page import MORNING_PAGE, REPORTS, Link, Section, Table, render_page
from pipeline.reports.phrasing import count, counted

ALL_PAGES = "all.html"
"""The list of all pages, below `reports/`."""
SHOWN = 10
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}
"""The endings of files that may be read, and their media types."""
_NO_FILE = frozenset({errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})
"""What the system says of a path that names no file, or that no file can have."""


@dataclass(frozen=True)
class Page:
    """A page: its folder below `reports/`, its name in it without the ending, and when it was written."""

    folder: str
    name: str
    written: datetime

    @property
    def order(self) -> tuple[str, datetime]:
        """The sort key: the last day in the name, because a backfill writes old days late, then the time of writing."""
        days = DAY.findall(self.name)
        return (days[-1] if days else f"{self.written:%Y-%m-%d}", self.written)


def find_pages(lake: Lake) -> dict[str, list[Page]]:
    """Return folder -> its pages, newest first."""
    by_folder: dict[str, list[Page]] = {}
    for file in lake.files_below(REPORTS):
        path = PurePosixPath(file.path).relative_to(REPORTS)
        if path.suffix == ".html" and not path.name.startswith(".") and str(path) not in (MORNING_PAGE, ALL_PAGES):
            folder = "" if path.parent == PurePosixPath() else str(path.parent)
            by_folder.setdefault(folder, []).append(Page(folder, path.stem, file.written))
    return {
        folder: sorted(by_folder[folder], key=lambda page: page.order, reverse=True) for folder in sorted(by_folder)
    }


def index_page(lake: Lake, folder: str = "") -> str:
    """Return what is shown first of a folder of `reports/`, as HTML: the list of its pages.

    `reports/` itself shows the morning page as soon as it has been written.
    """
    morning = None if folder else read_file(lake, MORNING_PAGE)
    return morning[0].decode() if morning else list_of_pages(lake, folder)


def list_of_pages(lake: Lake, folder: str = "") -> str:
    """Return the list of the pages of a folder of `reports/` and of the folders below it, as HTML.

    All pages of the folder itself are listed, and the newest of each folder below it. Links are relative to the folder.
    """
    listed = {
        name: pages
        for name, pages in find_pages(lake).items()
        if not folder or name == folder or name.startswith(f"{folder}/")
    }
    sections = [_section(name, pages, folder) for name, pages in listed.items()]
    empty = Section("No pages yet", ["The first run writes them."])
    total = counted(sum(map(len, listed.values())), "page")
    return render_page("Reports", f"{total}, newest first", sections or [empty])


def read_file(lake: Lake, path: str) -> tuple[bytes, str] | None:
    """Return the bytes and the media type of a file below `reports/`; None if there is none that may be read.

    Args:
        lake: where the pages are.
        path: comes from a client, so it is not trusted: hidden files, other types and everything outside of `reports/`
            are not found, however the path is written.
    """
    media_type = TYPES.get(PurePosixPath(path).suffix)
    if (
        media_type is None
        or any(part.startswith(".") or not part for part in path.split("/"))
        or re.search(r"[\\\0]", path)
    ):
        return None
    root = lake.path(REPORTS)
    # Concatenated as text: a path that is joined by fsspec may name another file system with "::".
    file = f"{root.path}/{path}"
    try:
        if isinstance(root, Path) and not Path(file).resolve().is_relative_to(root.resolve()):
            return None
        # Read at once: opening the file would use the size from a cached listing.
        return root.fs.cat_file(file), media_type
    except OSError as error:
        if error.errno in _NO_FILE or isinstance(error, FileNotFoundError):
            return None
        raise


def _section(name: str, pages: list[Page], folder: str) -> Section:
    shown = pages if name == folder else pages[:SHOWN]
    below = name.removeprefix(folder).strip("/")
    rows: list[tuple[str | Link, str]] = [
        (Link(page.name, quote(f"./{below}/{page.name}.html".replace("//", "/"))), f"{page.written:%Y-%m-%d %H:%M}")
        for page in shown
    ]
    if len(shown) < len(pages):
        rows.append((Link(f"all {count(len(pages))}", quote(f"./{below}/")), ""))
    return Section(_heading(name) or "Others", table=Table(("page", "written, UTC"), rows, frozenset({1})))


def _heading(folder: str) -> str:
    text = folder.replace("/", " · ").replace("_", " ")
    return text[:1].upper() + text[1:]
