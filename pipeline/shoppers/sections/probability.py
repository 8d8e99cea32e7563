"""Sections on the price elasticity of the purchase probability, of everybody and by segment."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json, with_opacity
from pipeline.reports.page import Section, Table
from pipeline.shoppers.purchase_probability import Curve
from pipeline.shoppers.sections.phrasing import price_text

LAYOUT = {
    "xaxis": {"title": "mean price of the brands"},
    "yaxis": {"title": "elasticity"},
}


def probability_section(price_only: Curve, not_promoted: Curve, promoted: Curve) -> Section:
    """Show the elasticity along the mean price, and from which price on demand is elastic."""
    figure = go.Figure(layout=LAYOUT)
    for curve, name, colour in (
        (price_only, "price only", COLOURS[0]),
        (not_promoted, "no promotion", GREY),
        (promoted, "all promoted", COLOURS[2]),
    ):
        _add_curve(figure, curve, name, colour)
    figure.add_hline(y=-1, line_dash="dash")
    return Section(
        "From which price on a higher price lowers revenue",
        [
            "If prices rise by one per cent, the number of purchases changes by "
            f"{price_only.at(1.0):+.2f} % at a mean price of 1.00, and by {price_only.at(2.0):+.2f} % at 2.00. The "
            "change "
            f"is -1 % at {price_text(price_only.crossing)}: above this price demand is elastic, and a higher price "
            "loses "
            "more in purchases than it gains in money.",
            f"If promotions are taken into account, this price is {price_text(not_promoted.crossing)} where nothing is "
            f"promoted, and {price_text(promoted.crossing)} where everything is. The bands are 95 % intervals, from a "
            "bootstrap over people.",
        ],
        figure=figure_json(figure),
    )


def by_segment_section(everybody: Curve, by_segment: Sequence[Curve]) -> Section:
    """Show the elasticity along the mean price for each segment."""
    figure = go.Figure(layout=LAYOUT)
    for curve in by_segment:
        figure.add_scatter(x=curve.prices, y=curve.elasticity, name=curve.name, mode="lines")
    figure.add_hline(y=-1, line_dash="dash")
    at_two = [curve.at(2.0) for curve in by_segment]
    return Section(
        "The same elasticity by segment",
        [
            f"At a mean price of 2.00 the elasticities of the segments are between {min(at_two):.2f} and "
            f"{max(at_two):.2f}; that of all people together is {everybody.at(2.0):.2f}."
        ],
        Table(
            ("segment", "elasticity at 1.00", "elasticity at 2.00", "elastic from a price of"),
            [(c.name, f"{c.at(1.0):.2f}", f"{c.at(2.0):.2f}", price_text(c.crossing)) for c in by_segment],
            frozenset(range(1, 4)),
        ),
        figure_json(figure),
    )


def _add_curve(figure: go.Figure, curve: Curve, name: str, colour: str) -> None:
    figure.add_scatter(
        x=[*curve.prices, *reversed(curve.prices)],
        y=[*curve.high, *reversed(curve.low)],
        fill="toself",
        fillcolor=with_opacity(colour, 0.15),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(x=curve.prices, y=curve.elasticity, name=name, mode="lines", line={"color": colour})
