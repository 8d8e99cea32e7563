"""Sections on the price elasticity of the purchase probability, of everybody and by segment."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json, with_opacity
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import price, signed, with_unit
from pipeline.shoppers.purchase_probability import Curve
from pipeline.shoppers.sections.phrasing import price_text

LOW_PRICE, HIGH_PRICE = 1.0, 2.0
"""Mean prices at which the elasticity is stated."""


def probability_section(price_only: Curve, not_promoted: Curve, promoted: Curve) -> Section:
    """Show the elasticity along the mean price, and from which price on demand is elastic."""
    figure = go.Figure(layout=_layout())
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
            f"{signed(price_only.at(LOW_PRICE))} % at a mean price of {price(LOW_PRICE)}, and by "
            f"{signed(price_only.at(HIGH_PRICE))} % at {price(HIGH_PRICE)}. The change is -1 % at "
            f"{price_text(price_only.crossing)}: above this price demand is elastic, and a higher price loses more in "
            "purchases than it gains in money.",
            f"If promotions are taken into account, this price is {price_text(not_promoted.crossing)} where nothing is "
            f"promoted, and {price_text(promoted.crossing)} where everything is. The bands are 95 % intervals, from a "
            "bootstrap over people.",
        ],
        figure=figure_json(figure),
    )


def by_segment_section(everybody: Curve, by_segment: Sequence[Curve]) -> Section:
    """Show the elasticity along the mean price for each segment."""
    figure = go.Figure(layout=_layout())
    for curve in by_segment:
        figure.add_scatter(x=curve.prices, y=curve.elasticity, name=curve.name, mode="lines")
    figure.add_hline(y=-1, line_dash="dash")
    at_two = [curve.at(HIGH_PRICE) for curve in by_segment]
    return Section(
        "The same elasticity by segment",
        [
            f"At a mean price of {price(HIGH_PRICE)} the elasticities of the segments are between "
            f"{signed(min(at_two))} and {signed(max(at_two))}; that of all people together is "
            f"{signed(everybody.at(HIGH_PRICE))}."
        ],
        Table(
            (
                "segment",
                *(f"elasticity at {price(at)}" for at in (LOW_PRICE, HIGH_PRICE)),
                "elastic from a price of",
            ),
            [(c.name, signed(c.at(LOW_PRICE)), signed(c.at(HIGH_PRICE)), price_text(c.crossing)) for c in by_segment],
            frozenset(range(1, 4)),
        ),
        figure_json(figure),
    )


def _layout() -> dict[str, dict[str, str]]:
    return {
        "xaxis": {"title": with_unit("mean price of the brands")},
        "yaxis": {"title": "change of purchases, %, if prices rise by 1 %"},
    }


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
