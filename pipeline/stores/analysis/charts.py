"""What all pictures of the stores' page have in common: colours for every eye, quiet grids, legends above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
"""Okabe and Ito's, which people who confuse red and green tell apart (the yellow darkened: it is on white)."""
GREY = "#8a94a3"
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
HEIGHT = 300
"""Pixels of a row of a picture."""
TITLE = 28
"""Pixels of the title of a row, which the legend stands above."""


def rows(titles: Sequence[str]) -> go.Figure:
    """A figure of pictures one below another, which fits a phone as well as a desk."""
    return make_subplots(rows=len(titles), cols=1, subplot_titles=list(titles), vertical_spacing=0.32 / len(titles))


def shade(colour: str, opacity: float) -> str:
    """A colour that lets through what is behind it."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def drawn(figure: go.Figure, *, heights: int = 1, **layout: Any) -> str:
    """The figure as JSON, without the template that would be repeated in each."""
    above = 1 + (TITLE if figure.layout.annotations else 6) / (HEIGHT * heights)
    figure.update_layout(
        template="none",
        height=HEIGHT * heights + 90,
        legend={"orientation": "h", "x": 0, "y": above, "yanchor": "bottom"},
        hovermode="closest",
        **layout,
    )
    quiet = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.6)", "automargin": True}
    figure.update_xaxes(**quiet)
    figure.update_yaxes(**quiet)
    figure.update_annotations(font_size=13)
    return str(figure.to_json())
