"""Sections on the price elasticities of brand choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import decimal, listed, signed
from pipeline.shoppers.brand_choice import BrandChoice, Elasticities, elasticities_by
from pipeline.shoppers.sections.phrasing import CREDIBLE, NOT_CREDIBLE, interval_text

if TYPE_CHECKING:
    import pandas as pd

MIN_PURCHASES = 200
"""Purchases that a segment needs for elasticities of its own."""
COLOUR_QUANTILE = 0.9
"""The colour scale ends at this quantile of the absolute elasticities, so that extreme ones do not hide the rest."""
MIN_WIDTH = 480


def choice_section(elasticities: Elasticities) -> Section:
    """Show own-price and cross-price elasticities; those that are not credible are left out of the chart."""
    values = np.array([[cell.value for cell in row] for row in elasticities.matrix])
    left_out = [at for at, brand in enumerate(elasticities.brands) if brand in elasticities.wrong]
    values[left_out, :] = values[:, left_out] = np.nan
    shown = np.abs(values[np.isfinite(values)])
    limit = float(np.quantile(shown, COLOUR_QUANTILE)) if len(shown) else 1.0
    figure = go.Figure(
        go.Heatmap(
            z=[[None if np.isnan(cell) else cell for cell in row] for row in values],
            x=[f"price of {brand}" for brand in elasticities.brands],
            y=[f"share of {brand}" for brand in elasticities.brands],
            text=[["?" if np.isnan(cell) else signed(cell) for cell in row] for row in values],
            texttemplate="%{text}",
            colorscale="RdBu",
            reversescale=True,
            zmin=-limit,
            zmax=limit,
            colorbar={"title": "% for 1 %"},
        ),
        layout={"yaxis": {"autorange": "reversed"}, "meta": {"min_width": MIN_WIDTH}},
    )
    return Section(
        "Which brand is bought, by price",
        _sentences(elasticities),
        Table(
            ("brand", "own-price elasticity", "95 % interval", "verdict"),
            [
                (
                    brand,
                    signed(elasticities.own(brand).value),
                    interval_text(elasticities.own(brand)),
                    NOT_CREDIBLE if brand in elasticities.wrong else CREDIBLE,
                )
                for brand in elasticities.brands
            ],
            frozenset({1, 2}),
            {NOT_CREDIBLE: "bad"},
        ),
        figure_json(figure),
    )


def by_segment_sections(model: BrandChoice, purchases: pd.DataFrame, segments: Mapping[str, str]) -> list[Section]:
    """Show the own-price elasticities of each segment with enough purchases; no section if there is none.

    Args:
        model: the fitted model.
        purchases: visits that ended in a purchase, see `brand_choice.purchases`.
        segments: person -> segment, of the people who are in one.
    """
    counts = purchases["person"].map(segments).value_counts()
    large = {person: name for person, name in segments.items() if counts.get(name, 0) >= MIN_PURCHASES}
    by_segment = elasticities_by(model, purchases, large)
    if not by_segment:
        return []
    brands = next(iter(by_segment.values())).brands
    return [
        Section(
            "Own-price elasticities of brand choice by segment",
            [
                "Each row is computed from the purchases of the people in the segment, with their own habits and last "
                "brands. A question mark means that the elasticity is positive and not credible."
            ],
            Table(
                ("segment", *(f"brand {brand}" for brand in brands)),
                [
                    (name, *(signed(e.own(b).value) + (" (?)" if b in e.wrong else "") for b in e.brands))
                    for name, e in by_segment.items()
                ],
                frozenset(range(1, 1 + len(brands))),
            ),
        )
    ]


def _sentences(elasticities: Elasticities) -> list[str]:
    sentences = []
    if credible := [brand for brand in elasticities.brands if brand not in elasticities.wrong]:
        most = min(credible, key=lambda brand: elasticities.own(brand).value)
        sentences.append(
            f"Brand {most} is the most sensitive to its own price: if its price rises by one per cent, its share of "
            f"the purchases falls by {decimal(abs(elasticities.own(most).value), 2)} %, which go to other brands."
        )
    if elasticities.wrong:
        brands = listed(f"brand {brand}" for brand in elasticities.wrong)
        sentences.append(
            f"The own-price elasticity of {brands} is positive, which is not credible: nobody buys more of a brand "
            "because it costs more. Its price varied too little, or together with something else, to measure the "
            "effect. Do not base decisions on it; its row and column are left out of the chart."
        )
    return sentences
