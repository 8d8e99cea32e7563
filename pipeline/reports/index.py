"""The pages that there are: a page that lists them, and each file as a browser may have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from pipeline.lake.tables import Lake
from pipeline.reports.page import REPORTS, Link, Section, Table, render_page
from pipeline.reports.phrasing import count

SHOWN = 10
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}
"""What may be read at all, and what a browser is told that it is."""


@dataclass(frozen=True)
class Page:
    """A page: its folder below `reports/`, its name there without the ending, and when it was written."""

    folder: str
    name: str
    written: datetime

    @property
    def order(self) -> tuple[str, datetime]:
        """What makes one page newer than another: the last day it names (a backfill writes old days late)."""
        days = DAY.findall(self.name)
        return (days[-1] if days else f"{self.written:%Y-%m-%d}", self.written)


def find_pages(lake: Lake) -> dict[str, list[Page]]:
    """Every page, by folder, newest first."""
    root = lake.path(REPORTS)
    # A bucket's listing is kept by the process that read it, and a server lives for weeks.
    root.fs.invalidate_cache()
    found: dict[str, list[Page]] = {}
    for address, facts in root.fs.find(root.path, detail=True).items():
        path = PurePosixPath(address).relative_to(root.path)
        if path.suffix == ".html" and not path.name.startswith("."):
            folder = "" if path.parent == PurePosixPath() else str(path.parent)
            found.setdefault(folder, []).append(Page(folder, path.stem, _written(facts)))
    return {folder: sorted(found[folder], key=lambda page: page.order, reverse=True) for folder in sorted(found)}


def index_page(lake: Lake, folder: str = "") -> str:
    """The page that lists the pages below a folder of `reports/`; all of that folder's own, the newest of the others.

    Its links are relative to the folder.
    """
    kinds = {
        kind: pages
        for kind, pages in find_pages(lake).items()
        if not folder or kind == folder or kind.startswith(f"{folder}/")
    }
    sections = [_section(kind, pages, folder) for kind, pages in kinds.items()]
    empty = Section("No pages yet", ["They come with the first run."])
    total = count(sum(map(len, kinds.values())))
    return render_page("Reports", f"{total} pages, newest first", sections or [empty])


def read_file(lake: Lake, path: str) -> tuple[bytes, str] | None:
    """A file below `reports/` and its type; None if there is none that may be read.

    The path comes from whoever asks: hidden files, other types and everything outside of `reports/`, by whatever
    way, are not there.
    """
    kind = TYPES.get(PurePosixPath(path).suffix)
    if kind is None or any(part.startswith(".") or not part for part in path.split("/")) or re.search(r"[\\\0]", path):
        return None
    root = lake.path(REPORTS)
    # Put together as text: in a joined path, "::" would reach for another file system.
    file = f"{root.path}/{path}"
    if isinstance(root, Path) and not Path(file).resolve().is_relative_to(root.resolve()):
        return None
    try:
        # In one go: to open it would trust the size that a bucket's listing once said.
        return root.fs.cat_file(file), kind
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def _section(kind: str, pages: list[Page], folder: str) -> Section:
    shown = pages if kind == folder else pages[:SHOWN]
    below = kind.removeprefix(folder).strip("/")
    rows: list[tuple[str | Link, str]] = [
        (Link(page.name, quote(f"./{below}/{page.name}.html".replace("//", "/"))), f"{page.written:%Y-%m-%d %H:%M}")
        for page in shown
    ]
    if len(shown) < len(pages):
        rows.append((Link(f"all {count(len(pages))}", quote(f"./{below}/")), ""))
    return Section(_heading(kind) or "Others", table=Table(("page", "written, UTC"), rows, frozenset({1})))


def _heading(folder: str) -> str:
    text = folder.replace("/", " · ").replace("_", " ")
    return text[:1].upper() + text[1:]


def _written(facts: Mapping[str, Any]) -> datetime:
    """When a file was written, as each file system says it: local and GCS, S3, in memory."""
    at = next(facts[name] for name in ("mtime", "LastModified", "created") if name in facts)
    return at.astimezone(UTC) if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
