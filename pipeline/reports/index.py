"""The index of all report pages, and safe access to their files."""

from __future__ import annotations

import errno
import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from pipeline.lake.tables import Lake
from pipeline.reports.headers import DISTRIBUTIONS
from pipeline.reports.page import (
    ALL_PAGES,
    MORNING_PAGE,
    Link,
    Place,
    Section,
    Table,
    render_page,
    store_page,
)
from pipeline.reports.phrasing import count, counted
from pipeline.reports.ways import REPORTS, Page, Related, ensure_lists, pages_in

SHOWN = 10
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}
"""The endings of files that may be read, and their media types."""
_NO_FILE = frozenset({errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})
"""What the system says of a path that names no file, or that no file can have."""


def find_pages(lake: Lake) -> dict[str, list[Page]]:
    """Return folder -> its pages, newest first."""
    by_folder: dict[str, list[Page]] = {}
    for page in reversed(pages_in(lake, below=True)):
        if page.folder or f"{page.name}.html" not in (MORNING_PAGE, ALL_PAGES):
            by_folder.setdefault(page.folder, []).append(page)
    return dict(sorted(by_folder.items()))


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


def write_all_pages(lake: Lake) -> str:
    """Write the list of all pages, `all.html`, with a calendar of each folder, and return its path below home.

    Pages that another library drew are left out: the page beside them leads to each.
    """
    folders = {name: pages for name, pages in find_pages(lake).items() if DISTRIBUTIONS not in name.split("/")}
    place = Place(PurePosixPath(ALL_PAGES).stem, related=tuple(Related(_heading(name), name) for name in folders))
    ensure_lists(lake, [""])
    sections = [Section(_heading(name) or "Others", calendar=name) for name in folders]
    total = counted(sum(map(len, folders.values())), "page")
    return store_page(lake, place, render_page("All pages", total, sections, place=place), plotly=False)


def missing_page() -> str:
    """Return the page that says that there is no such page, as HTML."""
    return render_page(
        "There is no such page",
        "It may have been removed because of its age, or never been written.",
        [Section("What to do", ["The morning page leads to all pages: it is the first one below Reports."])],
    )


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
