"""The shoppers' page: who they are, how they answer to prices, what other prices would do, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import count
from pipeline.shoppers.brand_choice import Elasticities, elasticities, elasticities_by, purchases
from pipeline.shoppers.estimation import Interval
from pipeline.shoppers.purchase_probability import Curve, curves, curves_by
from pipeline.shoppers.what_if import Models, WhatIf, total_elasticities, what_if

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import ModelVersion

PROBABILITY, CHOICE, QUANTITY = "purchase_probability", "brand_choice", "purchase_quantity"
CREDIBLE = "credible"
DOUBTED = "positive: not credible"
DOUBTED_IN_PART = "a brand of it is not credible"
CURVES = {
    "xaxis": {"title": "mean price of the brands"},
    "yaxis": {"title": "elasticity"},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
}
MIN_PURCHASES = 200
"""Purchases a segment needs for elasticities of its own."""


@dataclass(frozen=True)
class ShoppersReport:
    """What the page shows.

    Attributes:
        versions: the champions of the three visit models, by name.
        visits: the features of all visits before the day.
        shoppers: the features of everybody's next visit; `scores` is what the champions said of it.
        segments: what was stored with the champion of `people_segments`; None without one.
        seed: of the bootstrap.
    """

    as_of: date
    versions: Mapping[str, ModelVersion]
    models: Models
    visits: pd.DataFrame
    shoppers: pd.DataFrame
    scores: pd.DataFrame
    segments: Mapping[str, Any] | None
    seed: int


def write_shoppers_report(lake: Lake, report: ShoppersReport) -> str:
    """Write the page and return its path below home."""
    scores = report.scores
    groups = {
        str(person): str(segment)
        for person, segment in zip(scores["person"], scores["segment"], strict=True)
        if isinstance(segment, str)
    }
    bought = purchases(report.visits)
    choices = elasticities(report.models.choice, bought)
    alone, without, promoted = curves(report.visits, seed=report.seed)
    by_segment = curves_by(report.visits, groups, seed=report.seed)
    sections = [
        *([_segments(report.segments), _dendrogram(report.segments)] if report.segments else []),
        _probability(alone, without, promoted),
        *([_curves_by_segment(alone, by_segment)] if by_segment else []),
        _choice(choices),
        *_choice_by_segment(report.models, bought, groups),
        _totals(report),
        _what_if(report, choices),
        _quality(report),
    ]
    expected = (scores["weekly_visits"] * scores["purchase_probability"]).sum()
    tiles = [
        Tile("people", count(len(scores))),
        Tile("visits a week", count(scores["weekly_visits"].sum())),
        Tile("purchases expected next week", count(expected)),
        Tile("units expected next week", count(scores["weekly_units"].sum())),
        Tile("demand is elastic from a mean price of", _price(alone.crossing)),
    ]
    versions = ", ".join(f"{name} {version.version}" for name, version in report.versions.items())
    return write_page(
        lake,
        f"shoppers/{report.as_of}",
        "Shoppers",
        f"As of {report.as_of}: {count(len(report.visits))} visits of {count(report.visits['person'].nunique())} "
        f"people. Models in use: {versions}.",
        sections,
        tiles,
    )


def _segments(segments: Mapping[str, Any]) -> Section:
    found, components = segments["segments"], segments["components"]
    columns = list(found[0]["means"])
    means = np.array([[segment["means"][column] for column in columns] for segment in found])
    shares = np.array([segment["share"] for segment in found])
    spread = np.array([max(float(np.ptp(column)), 1e-12) for column in means.T])
    largest = max(found, key=lambda segment: float(segment["share"]))
    figure = go.Figure(
        go.Heatmap(
            z=((means - shares @ means) / spread).T,
            x=[segment["name"] for segment in found],
            y=[column.replace("_", " ") for column in columns],
            text=[[_figure(cell) for cell in row] for row in means.T],
            texttemplate="%{text}",
            colorscale="RdBu",
            reversescale=True,
            zmid=0,
            showscale=False,
        ),
        layout={"yaxis": {"automargin": True}, "meta": {"least_width": 560}},
    )
    named = "; ".join(f"{part['name']} ({100 * part['variance']:.0f} % of the variance)" for part in components)
    return Section(
        "Segments of people",
        [
            f"{count(sum(segment['people'] for segment in found))} people in {len(found)} segments; the largest is "
            f"“{largest['name']}” with {100 * largest['share']:.1f} %. The cells are means, the colour says which way "
            "from the average. Of coded columns it is the mean code: sex 1 is a woman, marital status 1 is not single, "
            "the others grow with what they name.",
            f"The segments were made on principal components, named by their largest loadings: {named}.",
        ],
        Table(
            ("segment", "people", "share", *(column.replace("_", " ") for column in columns)),
            [
                (
                    segment["name"],
                    count(segment["people"]),
                    f"{100 * segment['share']:.1f} %",
                    *(_figure(segment["means"][column]) for column in columns),
                )
                for segment in found
            ],
            frozenset(range(1, 3 + len(columns))),
        ),
        str(figure.to_json()),
    )


def _dendrogram(segments: Mapping[str, Any]) -> Section:
    tree, components = segments["dendrogram"], segments["components"]
    lines = [
        go.Scatter(x=x, y=y, mode="lines", line={"color": "#1f5fa8", "width": 1}, showlegend=False, hoverinfo="skip")
        for x, y in zip(tree["x"], tree["y"], strict=True)
    ]
    figure = go.Figure(lines, layout={"xaxis": {"visible": False}, "yaxis": {"title": "distance of what is merged"}})
    figure.add_hline(y=tree["cut"], line_dash="dash")
    columns = list(components[0]["loadings"])
    best = max(segments["silhouettes"].items(), key=lambda item: float(item[1]))
    mine = segments["silhouettes"][str(len(segments["segments"]))]
    return Section(
        "Why so many segments",
        [
            f"Cut at the dashed line the dendrogram has {len(segments['segments'])} branches: the next merge costs the "
            f"most more than the one before it. Their silhouette is {mine:.3f}; the best of 2 to 8 would be "
            f"{best[1]:.3f} with {best[0]} segments.",
        ],
        Table(
            ("loading", *(f"component {n}" for n in range(1, len(components) + 1))),
            [
                (column.replace("_", " "), *(f"{part['loadings'][column]:+.2f}" for part in components))
                for column in columns
            ],
            frozenset(range(1, 1 + len(components))),
        ),
        str(figure.to_json()),
    )


def _probability(alone: Curve, without: Curve, promoted: Curve) -> Section:
    figure = go.Figure(layout=CURVES)
    for curve, name, colour in (
        (alone, "price alone", "31,95,168"),
        (without, "no promotion", "90,90,90"),
        (promoted, "all promoted", "29,122,70"),
    ):
        _draw(figure, curve, name, colour)
    figure.add_hline(y=-1, line_dash="dash")
    seen = (alone.crossing, without.crossing, promoted.crossing)
    return Section(
        "When a higher price costs purchases",
        [
            f"At a mean price of 1.00, one per cent more changes the number of purchases by {alone.at(1.0):+.2f} %; at "
            f"2.00, by {alone.at(2.0):+.2f} %. It passes -1 % at {_price(seen[0])}: from there on a higher price loses "
            "more purchases than it brings in money.",
            f"With the promotions told apart that price is {_price(seen[1])} where nothing is promoted and "
            f"{_price(seen[2])} where everything is. Bands are 95 % intervals, by bootstrap over people.",
        ],
        figure=str(figure.to_json()),
    )


def _curves_by_segment(alone: Curve, found: list[Curve]) -> Section:
    figure = go.Figure(layout=CURVES)
    for curve in found:
        figure.add_scatter(x=curve.prices, y=curve.elasticity, name=curve.name, mode="lines")
    figure.add_hline(y=-1, line_dash="dash")
    return Section(
        "The same by segment",
        [
            f"At 2.00 the segments lie between {max(c.at(2.0) for c in found):.2f} and "
            f"{min(c.at(2.0) for c in found):.2f}; everybody together is at {alone.at(2.0):.2f}."
        ],
        Table(
            ("segment", "at 1.00", "at 2.00", "elastic from"),
            [(c.name, f"{c.at(1.0):.2f}", f"{c.at(2.0):.2f}", _price(c.crossing)) for c in found],
            frozenset(range(1, 4)),
        ),
        str(figure.to_json()),
    )


def _choice(found: Elasticities) -> Section:
    values = np.array([[cell.value for cell in row] for row in found.matrix])
    doubted = [at for at, brand in enumerate(found.brands) if brand in found.wrong]
    values[doubted, :] = values[:, doubted] = np.nan
    known = np.abs(values[np.isfinite(values)])
    limit = float(np.quantile(known, 0.9)) if len(known) else 1.0
    figure = go.Figure(
        go.Heatmap(
            z=[[None if np.isnan(cell) else cell for cell in row] for row in values],
            x=[f"price of {brand}" for brand in found.brands],
            y=[f"share of {brand}" for brand in found.brands],
            text=[["?" if np.isnan(cell) else f"{cell:+.2f}" for cell in row] for row in values],
            texttemplate="%{text}",
            colorscale="RdBu",
            reversescale=True,
            zmin=-limit,
            zmax=limit,
            colorbar={"title": "elasticity"},
        ),
        layout={"yaxis": {"automargin": True, "autorange": "reversed"}, "meta": {"least_width": 480}},
    )
    trusted = [brand for brand in found.brands if brand not in found.wrong]
    sentences = []
    if trusted:
        most = min(trusted, key=lambda brand: found.own(brand).value)
        sentences.append(
            f"One per cent more on brand {most} takes {abs(found.own(most).value):.2f} % of its share of the purchases "
            "to other brands: no other is that sensitive."
        )
    if found.wrong:
        sentences.append(
            f"The own-price elasticity of {', '.join(f'brand {brand}' for brand in found.wrong)} came out positive. "
            "Nobody buys more because it is dearer: its price moved too little, or with something else, to tell. Do "
            "not act on it; its row and column are left out of the picture."
        )
    rows = [
        (brand, f"{own.value:+.2f}", _span(own), DOUBTED if brand in found.wrong else CREDIBLE)
        for brand, own in ((brand, found.own(brand)) for brand in found.brands)
    ]
    return Section(
        "Which brand, by price",
        sentences,
        Table(("brand", "own-price elasticity", "95 % interval", "verdict"), rows, frozenset({1, 2}), {DOUBTED: "bad"}),
        str(figure.to_json()),
    )


def _choice_by_segment(models: Models, bought: pd.DataFrame, groups: Mapping[str, str]) -> list[Section]:
    sizes = bought["person"].map(groups).value_counts()
    large = {person: name for person, name in groups.items() if sizes.get(name, 0) >= MIN_PURCHASES}
    found = elasticities_by(models.choice, bought, large)
    if not found:
        return []
    return [
        Section(
            "Own-price elasticities by segment",
            ["Within a segment it is the same people who choose, with their own habits and last brands."],
            Table(
                ("segment", *(f"brand {brand}" for brand in next(iter(found.values())).brands)),
                [
                    (name, *(f"{e.own(b).value:+.2f}" + (" (?)" if b in e.wrong else "") for b in e.brands))
                    for name, e in found.items()
                ],
                frozenset(range(1, 1 + len(next(iter(found.values())).brands))),
            ),
        )
    ]


def _totals(report: ShoppersReport) -> Section:
    quantity = report.models.quantity.elasticity()
    return Section(
        "What one per cent more on a brand does to its units",
        [
            f"Whoever buys takes {abs(quantity.value):.2f} % {'fewer' if quantity.value < 0 else 'more'} units for one "
            f"per cent more on the price ({_span(quantity)}). The total is the sum of three answers: fewer visits end "
            "in a purchase, fewer purchases go to the brand, and fewer units are taken."
        ],
        Table(
            ("brand", "purchase", "choice", "quantity", "total", "95 % interval", "verdict"),
            [
                (
                    e.brand,
                    *(f"{part.value:+.2f}" for part in (e.probability, e.choice, e.quantity, e.total)),
                    _span(e.total),
                    DOUBTED if e.wrong else CREDIBLE,
                )
                for e in total_elasticities(report.models, report.shoppers)
            ],
            frozenset(range(1, 6)),
            {DOUBTED: "bad"},
        ),
    )


def _what_if(report: ShoppersReport, choices: Elasticities) -> Section:
    found = what_if(report.models, report.shoppers)
    for brand in choices.brands:
        found += what_if(report.models, report.shoppers, brand=brand)
    return Section(
        "What if prices changed",
        [
            f"A week like the last four, with {count(found[0].visits)} visits, at other prices. "
            + _best(found, choices),
            "Revenue is not profit: what the goods cost is not known here. Rivals and stocks are taken to stay as they "
            "are.",
        ],
        Table(
            ("price of", "change", "purchases", "units", "revenue", "revenue, change", "95 % interval", "verdict"),
            [_what_if_row(each, choices) for each in found],
            frozenset(range(1, 7)),
            {DOUBTED: "bad", DOUBTED_IN_PART: "wait"},
        ),
    )


def _best(found: list[WhatIf], choices: Elasticities) -> str:
    """The credible change that would bring the most."""
    credible = [each for each in found if _verdict(each.brand, choices) == CREDIBLE]
    best = max(credible, key=lambda each: each.revenue_change.value, default=None)
    if best is None or best.revenue_change.value <= 0:
        return "None of the changes that can be believed would bring more."
    whose = "all prices" if best.brand is None else f"the price of brand {best.brand}"
    return (
        f"Of the changes that can be believed, {100 * best.change:+.0f} % on {whose} would do the most for revenue: "
        f"{100 * best.revenue_change.value:+.1f} % ({_span(best.revenue_change, 100)} %)."
    )


def _what_if_row(found: WhatIf, choices: Elasticities) -> tuple[str, ...]:
    return (
        "all brands" if found.brand is None else f"brand {found.brand}",
        f"{100 * found.change:+.0f} %",
        f"{found.purchases.value:,.1f}",
        f"{found.units.value:,.1f}",
        f"{found.revenue.value:,.2f}",
        f"{100 * found.revenue_change.value:+.1f} %",
        f"{_span(found.revenue_change, 100)} %",
        _verdict(found.brand, choices),
    )


def _verdict(brand: str | None, choices: Elasticities) -> str:
    if brand is None:
        return DOUBTED_IN_PART if choices.wrong else CREDIBLE
    return DOUBTED if brand in choices.wrong else CREDIBLE


def _quality(report: ShoppersReport) -> Section:
    rows = [
        (name, metric.replace("_", " "), "–" if value is None else f"{value:.3f}")
        for name, version in report.versions.items()
        for metric, value in version.metrics.items()
    ]
    chance = report.versions[PROBABILITY].metrics
    choice, quantity = report.versions[CHOICE].metrics, report.versions[QUANTITY].metrics
    return Section(
        "How good the models are on days that they have not seen",
        [
            f"Of a visit that ends in a purchase and one that does not, the first has the higher probability in "
            f"{_percent(chance.get('auc'))} of the pairs. The brand is foretold right for "
            f"{_percent(choice.get('accuracy'))} of the purchases, against "
            f"{_percent(choice.get('same_brand_accuracy'))} by saying “the last one again”; "
            f"{_percent(quantity.get('r2'))} of the variance of units is explained."
        ],
        Table(("model", "figure", "value"), rows, frozenset({2})),
    )


def _draw(figure: go.Figure, curve: Curve, name: str, colour: str) -> None:
    figure.add_scatter(
        x=[*curve.prices, *reversed(curve.prices)],
        y=[*curve.high, *reversed(curve.low)],
        fill="toself",
        fillcolor=f"rgba({colour},0.15)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(x=curve.prices, y=curve.elasticity, name=name, mode="lines", line={"color": f"rgb({colour})"})


def _span(interval: Interval, times: float = 1) -> str:
    return f"{times * interval.low:+.2f} to {times * interval.high:+.2f}"


def _price(price: float | None) -> str:
    return "no price shown" if price is None else f"{price:.2f}"


def _figure(value: float) -> str:
    return count(value) if abs(value) >= 1_000 else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
