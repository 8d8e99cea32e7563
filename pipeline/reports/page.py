"""Report pages as HTML: a heading, warnings, key figures, and sections of sentences, charts and tables.

Pages open without a network: their style is part of them, and Plotly's script is stored once for all pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

from pipeline.lake.tables import Lake
from pipeline.reports.templates import html_template

Tone = Literal["", "good", "bad", "wait"]
"""The colour of a key figure or of a table cell."""
REPORTS = "reports"
"""The folder of all pages, below home."""
SCRIPT = "assets/plotly.min.js"
"""The path of Plotly's script below `REPORTS`."""
MORNING_PAGE = "index.html"
"""The page that is shown first, below `REPORTS`."""
DAYS_BACK = 14
"""How far back the page of an earlier day is looked for."""


@dataclass(frozen=True)
class Tile:
    """A key figure, shown in large type above its label."""

    label: str
    value: str
    tone: Tone = ""


@dataclass(frozen=True)
class Link:
    """A table cell that links to an address, relative to the page."""

    text: str
    href: str


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
    """A part of a page, shown in this order: heading, sentences, figure, widget, markup, table.

    Attributes:
        figure: a Plotly figure as JSON.
        widget: HTML with a script of its own, which is not escaped: its author escapes the data in it. When the page
            has loaded, its script may call `draw(id, figure)`.
        markup: HTML without a script, which is not escaped either.
    """

    heading: str
    sentences: Sequence[str] = ()
    table: Table | None = None
    figure: str | None = None
    widget: str | None = None
    markup: str | None = None


_common_warnings: ContextVar[tuple[Notice, ...]] = ContextVar("common_warnings", default=())


@contextmanager
def common_warnings(warnings: Sequence[Notice]) -> Iterator[None]:
    """Show warnings at the top of every page that is written within this context, above the page's own."""
    token = _common_warnings.set(tuple(warnings))
    try:
        yield
    finally:
        _common_warnings.reset(token)


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
    warnings = (*_common_warnings.get(), *warnings)
    ways, script = _ways_around(lake, name), "../" * name.count("/") + SCRIPT
    html = render_page(title, subtitle, sections, tiles, warnings, ways=ways, script=script)
    if any(section.figure or section.widget for section in sections):
        _store_script(lake)
    path = f"{REPORTS}/{name}.html"
    lake.write_blob(path, html.encode())
    return path


def render_page(
    title: str,
    subtitle: str,
    sections: Sequence[Section],
    tiles: Sequence[Tile] = (),
    warnings: Sequence[str | Notice] = (),
    *,
    ways: Sequence[Link] = (),
    script: str = SCRIPT,
) -> str:
    """Return a page as HTML, see `write_page`.

    Args:
        ways: links to other pages, shown above the title.
        script: the address of Plotly's script relative to the page.
    """
    figures: dict[str, Any] = {
        f"figure-{n}": json.loads(section.figure) for n, section in enumerate(sections, 1) if section.figure
    }
    return html_template("pipeline.reports", "page.html").render(
        title=title,
        subtitle=subtitle,
        ways=ways,
        warnings=warnings,
        tiles=tiles,
        sections=sections,
        figures=figures,
        script=script,
    )


def _ways_around(lake: Lake, name: str) -> list[Link]:
    """Return links to the morning page and to the page of the day before, as far as they have been written."""
    ways = []
    if lake.path(REPORTS, MORNING_PAGE).exists():
        ways.append(Link("This morning", "../" * name.count("/") + MORNING_PAGE))
    folder, _, day = name.rpartition("/")
    try:
        own = date.fromisoformat(day)
    except ValueError:
        return ways
    earlier = (own - timedelta(days=n) for n in range(1, DAYS_BACK + 1))
    before = next((day for day in earlier if lake.path(REPORTS, folder, f"{day}.html").exists()), None)
    return [*ways, Link(f"{before}, the page before", f"{before}.html")] if before else ways


def _store_script(lake: Lake) -> None:
    path = f"{REPORTS}/{SCRIPT}"
    if not lake.path(path).exists():
        from plotly.offline import get_plotlyjs

        lake.write_blob(path, get_plotlyjs().encode())
