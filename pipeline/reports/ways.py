"""Ways from a page to others: the lists of pages from which the shared script makes links, and that script.

A page is written once, and the page of the day after it later. So a page holds no such links: the shared script makes
them when the page is opened, from a list of pages beside the pages of each folder. It is a script, because a page that
is opened as a file from disk may load scripts and no other data.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from urllib.parse import quote

from pipeline.lake.tables import Lake

REPORTS = "reports"
"""The folder of all pages, below home."""
PAGES_LIST = "pages.js"
"""The list of the pages of a folder, beside them."""
PLOTLY = "assets/plotly.min.js"
"""The path of Plotly's script below `REPORTS`."""
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Link:
    """A link, also as a table cell; its address is absolute or relative to the page."""

    text: str
    href: str


@dataclass(frozen=True)
class Related:
    """A folder with pages about the same day.

    Attributes:
        text: the text of the link.
        folder: below `reports/`.
        days: which day's page is meant, counted from the day of the page that links: -1 is the day before.
        search: what can be searched on the folder's pages, such as store; empty for nothing. The page that links has a
            form for it, which opens the page of the same day, or else the newest, at `#store=…`.
    """

    text: str
    folder: str
    days: int = 0
    search: str = ""


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


def pages_in(lake: Lake, folder: str = "", *, below: bool = False) -> list[Page]:
    """Return the pages of a folder below `reports/`, oldest first.

    Args:
        lake: where the pages are.
        folder: its path below `reports/`; empty for `reports/` itself.
        below: whether to include those of the folders below it.
    """
    pages = []
    for file in lake.files_below(_below_home(folder), deep=below):
        parent, _, name = file.path.removeprefix(f"{REPORTS}/").rpartition("/")
        if _is_page(name):
            pages.append(Page(parent, name.removesuffix(".html"), file.written))
    return sorted(pages, key=lambda page: page.order)


class WrittenPages:
    """The pages of a folder below `reports/` and of those below it, for links that lead to a page that is there."""

    def __init__(self, lake: Lake, folder: str = "") -> None:
        self._paths = {f"{page.folder}/{page.name}" for page in pages_in(lake, folder, below=True)}

    def link(self, text: str, path: str, root: str = "") -> Link | None:
        """Return a link to a page; None if it has not been written, or has been removed because of its age.

        Args:
            text: the text of the link.
            path: the page's path below `reports/` without the ending, such as `customers/2025-01-08`.
            root: the address of `reports/` relative to the page with the link, such as `../`.
        """
        return Link(text, root + quote(f"{path}.html")) if path in self._paths else None


def write_list(lake: Lake, folder: str) -> None:
    """Write the list of the pages of a folder.

    Of several writers at once the last one to write its list looks once more at the folder, and so finds the pages of
    the others; no lock is needed.
    """
    listed = None
    # Names alone are looked up ten times as fast as times, of which only the order depends.
    while listed != (there := {name for name in lake.names_in(_below_home(folder)) if _is_page(name)}):
        listed = there
        found = [page.name for page in pages_in(lake, folder)]
        text = f"(window.aislePages ??= {{}})[{json.dumps(folder)}] = {json.dumps(found)};\n"
        lake.write_blob(_list_path(folder), text.encode())


def write_lists(lake: Lake) -> None:
    """Write the list of every folder anew, after pages have been removed."""
    for file in lake.files_below(REPORTS):
        if PurePosixPath(file.path).name == PAGES_LIST:
            parent = PurePosixPath(file.path).relative_to(REPORTS).parent
            write_list(lake, "" if parent == PurePosixPath() else str(parent))


def ensure_lists(lake: Lake, folders: Sequence[str]) -> None:
    """Write the lists of folders that have none yet, so that a page can load them."""
    for folder in folders:
        if not lake.path(_list_path(folder)).exists():
            write_list(lake, folder)


@cache
def page_script() -> tuple[str, bytes]:
    """The shared script: its path below `reports/`, which names its content, and its bytes.

    A later release writes a script of another name beside it, so that earlier pages keep the one they were made for.
    """
    content = resources.files("pipeline.reports").joinpath("page.js").read_bytes()
    return f"assets/page-{hashlib.sha256(content).hexdigest()[:12]}.js", content


def store_scripts(lake: Lake, *, plotly: bool) -> None:
    """Write the shared script, and Plotly's if the page has charts, unless they are there."""
    path, content = page_script()
    if not lake.path(REPORTS, path).exists():
        lake.write_blob(f"{REPORTS}/{path}", content)
    if plotly and not lake.path(REPORTS, PLOTLY).exists():
        from plotly.offline import get_plotlyjs

        lake.write_blob(f"{REPORTS}/{PLOTLY}", get_plotlyjs().encode())


def _is_page(name: str) -> bool:
    return name.endswith(".html") and not name.startswith(".")


def _below_home(folder: str) -> str:
    return f"{REPORTS}/{folder}".rstrip("/")


def _list_path(folder: str) -> str:
    return "/".join(filter(None, (REPORTS, folder, PAGES_LIST)))
