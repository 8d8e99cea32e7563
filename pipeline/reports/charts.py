"""What the charts of all report pages have in common: colours, line styles, size, grid and legend."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pipeline.reports.phrasing import decimal_separators

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
"""The palette of Okabe and Ito, which colour-blind readers can tell apart; its yellow is darkened for white paper."""
GREY = "#8a94a3"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
ROW_HEIGHT = 300
"""Pixels of one row of a figure."""
LABEL_WIDTH = 30
"""Characters of a line of a label beside an axis."""
TITLE_HEIGHT = 28
"""Pixels of the title of a row; the legend is placed above it."""


def stacked_figure(titles: Sequence[str]) -> go.Figure:
    """Return an empty figure with one chart per title, one below the other, which fits narrow screens."""
    return make_subplots(rows=len(titles), cols=1, subplot_titles=list(titles), vertical_spacing=0.32 / len(titles))


def wrapped(text: str, width: int = LABEL_WIDTH) -> str:
    """Break a label into lines, as Plotly writes them, so that long ones leave room for the chart."""
    return "<br>".join(textwrap.wrap(text, width))


def with_opacity(colour: str, opacity: float) -> str:
    """Return a colour such as #0072b2 with an opacity between 0 and 1."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def figure_json(figure: go.Figure, *, heights: int = 1, **layout: Any) -> str:
    """Apply the common style and return the figure as JSON, without the template that Plotly repeats in each.

    Args:
        figure: the figure; its layout is changed.
        heights: how many rows of charts it has.
        layout: further entries of Plotly's layout.
    """
    above = 1 + (TITLE_HEIGHT if figure.layout.annotations else 6) / (ROW_HEIGHT * heights)
    figure.update_layout(
        template="none",
        colorway=COLOURS,
        height=ROW_HEIGHT * heights + 90,
        legend={"orientation": "h", "x": 0, "y": above, "yanchor": "bottom"},
        hovermode="closest",
        separators=decimal_separators(),
        **layout,
    )
    quiet = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.6)", "automargin": True}
    figure.update_xaxes(**quiet)
    figure.update_yaxes(**quiet)
    figure.update_annotations(font_size=13)
    return str(figure.to_json())
