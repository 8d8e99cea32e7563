"""A page for people: a heading, figures that matter, sections of sentences, pictures and tables.

Pages open without a network: their style is inside them, and Plotly's script lies once beside all pages.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import jinja2

from pipeline.lake.tables import Lake

Tone = Literal["", "good", "bad", "wait"]
REPORTS = "reports"
SCRIPT = "assets/plotly.min.js"


@dataclass(frozen=True)
class Tile:
    """A figure that matters, in large type."""

    label: str
    value: str
    tone: Tone = ""


@dataclass(frozen=True)
class Link:
    """A cell that leads somewhere."""

    text: str
    href: str


@dataclass(frozen=True)
class Table:
    """Rows of cells as they are to be shown; `tones` colours the cells that hold just such a text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Link]]
    numeric: frozenset[int] = frozenset()
    tones: Mapping[str, Tone] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        figure: a Plotly figure as JSON.
        widget: HTML with a script of its own, put into the page as it is: whoever makes it escapes the data in it. Once
            the page is there, its script may call `draw(id, figure)`.
    """

    heading: str
    sentences: Sequence[str] = ()
    table: Table | None = None
    figure: str | None = None
    widget: str | None = None


def write_page(
    lake: Lake, name: str, title: str, subtitle: str, sections: Sequence[Section], tiles: Sequence[Tile] = ()
) -> str:
    """Write a page below `reports/`, whole or not at all.

    Args:
        name: its path below `reports/`, without the ending: `customers/2025-01-08`.

    Returns:
        The page's path below home.
    """
    html = render_page(title, subtitle, sections, tiles, script="../" * name.count("/") + SCRIPT)
    if any(section.figure or section.widget for section in sections):
        _ship_script(lake)
    path = f"{REPORTS}/{name}.html"
    lake.write_blob(path, html.encode())
    return path


def render_page(
    title: str, subtitle: str, sections: Sequence[Section], tiles: Sequence[Tile] = (), *, script: str = SCRIPT
) -> str:
    """A page as HTML; `script` is where it will find Plotly's, relative to itself."""
    figures: dict[str, Any] = {
        f"figure-{n}": json.loads(section.figure) for n, section in enumerate(sections, 1) if section.figure
    }
    return _template().render(
        title=title, subtitle=subtitle, tiles=tiles, sections=sections, figures=figures, script=script
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reports", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html")


def _ship_script(lake: Lake) -> None:
    path = f"{REPORTS}/{SCRIPT}"
    if not lake.path(path).exists():
        from plotly.offline import get_plotlyjs

        lake.write_blob(path, get_plotlyjs().encode())
