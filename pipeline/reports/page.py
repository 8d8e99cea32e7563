"""Report pages as HTML: a heading, warnings, key figures, and sections of sentences, charts and tables.

Pages open without a network: their style is part of them, and Plotly's script is stored once for all pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.lake.tables import Lake
from pipeline.reports.phrasing import decimal_separators
from pipeline.reports.templates import html_template
from pipeline.reports.ways import PLOTLY, Related, ensure_lists, page_script, store_scripts, write_list
from pipeline.reports.ways import REPORTS as REPORTS
from pipeline.reports.ways import Link as Link

Tone = Literal["", "good", "bad", "wait"]
"""The colour of a key figure or of a table cell."""
MORNING_PAGE = "index.html"
"""The page that is shown first, below `REPORTS`."""
ALL_PAGES = "all.html"
"""The list of all pages, below `REPORTS`."""


@dataclass(frozen=True)
class Tile:
    """A key figure, shown in large type above its label."""

    label: str
    value: str
    tone: Tone = ""


@dataclass(frozen=True)
class Notice:
    """A sentence at the top of a page, with a link to what it is about."""

    sentence: str
    link: Link | None = None


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        columns: the headings.
        rows: the cells as they are shown.
        numeric: positions of columns that are aligned to the right.
        tones: text of a cell -> its colour.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Link]]
    numeric: frozenset[int] = frozenset()
    tones: Mapping[str, Tone] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of a page, shown in this order: heading, sentences, figure, widget, markup, calendar, table.

    Attributes:
        figure: a Plotly figure as JSON.
        widget: HTML with a script of its own, which is not escaped: its author escapes the data in it. When the page
            has loaded, its script may call `draw(id, figure)`.
        markup: HTML without a script, which is not escaped either.
        calendar: a folder below `reports/` whose pages are shown as a calendar; one of the page's related folders.
    """

    heading: str
    sentences: Sequence[str] = ()
    table: Table | None = None
    figure: str | None = None
    widget: str | None = None
    markup: str | None = None
    calendar: str | None = None


@dataclass(frozen=True)
class Frame:
    """What surrounds the content of pages, whoever writes the content.

    Attributes:
        warnings: shown above the page's own.
        related: folders with pages about the same day.
        links: absolute addresses outside of the reports, such as that of the run that writes the page.
    """

    warnings: tuple[Notice, ...] = ()
    related: tuple[Related, ...] = ()
    links: tuple[Link, ...] = ()


_NO_FRAME = Frame()
_frame: ContextVar[Frame] = ContextVar("frame", default=_NO_FRAME)


@contextmanager
def framed(
    warnings: Sequence[Notice] = (), related: Sequence[Related] = (), links: Sequence[Link] = ()
) -> Iterator[None]:
    """Add to the frame of every page that is written within this context."""
    outer = _frame.get()
    frame = Frame((*outer.warnings, *warnings), (*outer.related, *related), (*outer.links, *links))
    token = _frame.set(frame)
    try:
        yield
    finally:
        _frame.reset(token)


@dataclass(frozen=True)
class Place:
    """Where a page is, and where its links lead.

    Attributes:
        name: its path below `reports/` without the ending, such as `customers/2025-01-08`.
        related: folders with pages about the same day.
        links: absolute addresses outside of the reports.
    """

    name: str
    related: tuple[Related, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def folder(self) -> str:
        """Its folder below `reports/`; empty for `reports/` itself."""
        return self.name.rpartition("/")[0]

    @property
    def root(self) -> str:
        """The address of `reports/`, relative to the page: empty or ending with a slash."""
        return "../" * self.name.count("/")

    @property
    def folders(self) -> list[str]:
        """The folders whose lists of pages its script reads."""
        return list(dict.fromkeys(["", self.folder, *(related.folder for related in self.related)]))


def write_page(
    lake: Lake,
    name: str,
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    tiles: Sequence[Tile] = (),
    warnings: Sequence[str | Notice] = (),
) -> str:
    """Write a page below `reports/`, completely or not at all.

    Args:
        lake: where the page is written.
        name: the page's path below `reports/` without the ending, such as `customers/2025-01-08`.
        title: the heading.
        subtitle: the sentence below it.
        sections: the content.
        tiles: key figures above the sections.
        warnings: sentences at the top of the page, such as "This page builds on a delivery with a warning: …".

    Returns:
        The page's path below home.
    """
    frame = _frame.get()
    place = Place(name, frame.related, frame.links)
    html = render_page(title, subtitle, sections, tiles, (*frame.warnings, *warnings), place=place)
    return store_page(lake, place, html, plotly=has_charts(sections))


def store_page(lake: Lake, place: Place, html: str, *, plotly: bool) -> str:
    """Write a page that has been rendered for its place, with the scripts and the lists of pages that it loads.

    Args:
        lake: where the page is written.
        place: where it is.
        html: the page.
        plotly: whether it has charts.

    Returns:
        The page's path below home.
    """
    store_scripts(lake, plotly=plotly)
    ensure_lists(lake, place.folders)
    path = f"{REPORTS}/{place.name}.html"
    lake.write_blob(path, html.encode())
    write_list(lake, place.folder)
    return path


def has_charts(sections: Sequence[Section]) -> bool:
    """Whether any of the sections needs Plotly's script."""
    return any(section.figure or section.widget for section in sections)


def render_page(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    tiles: Sequence[Tile] = (),
    warnings: Sequence[str | Notice] = (),
    *,
    place: Place | None = None,
) -> str:
    """Return a page as HTML, see `write_page`.

    Args:
        place: where the page will be, with its ways to others. None for a page that is made when it is asked for and
            stands in no folder; it has no script.
    """
    figures: dict[str, Any] = {
        f"figure-{n}": json.loads(section.figure) for n, section in enumerate(sections, 1) if section.figure
    }
    return html_template("pipeline.reports", "page.html").render(
        title=title,
        subtitle=subtitle,
        place=place,
        places=[asdict(related) for related in place.related] if place else [],
        anchors=section_anchors(sections),
        separators=decimal_separators(),
        warnings=warnings,
        tiles=tiles,
        sections=sections,
        figures=figures,
        plotly=PLOTLY if has_charts(sections) else None,
        script=page_script()[0],
    )


def section_anchors(sections: Sequence[Section]) -> list[str]:
    """Return an id for each section, made from its heading, so that other pages can link to it."""
    anchors: list[str] = []
    for section in sections:
        anchor = re.sub(r"[^a-z0-9]+", "-", section.heading.lower()).strip("-") or "section"
        anchors.append(anchor if anchor not in anchors else f"{anchor}-{len(anchors)}")
    return anchors
