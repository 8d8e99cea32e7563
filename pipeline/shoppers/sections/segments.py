"""Sections on the segments of people: their means, and why there are so many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import count, percent, readable
from pipeline.shoppers.sections.phrasing import mean_text

MIN_WIDTH = 560


def segments_section(stored: Mapping[str, Any]) -> Section:
    """Show the means of each segment.

    Args:
        stored: the record of a `people_segments.Segmentation`.
    """
    segments, components = stored["segments"], stored["components"]
    columns = list(segments[0]["means"])
    means = np.array([[segment["means"][column] for column in columns] for segment in segments])
    shares = np.array([segment["share"] for segment in segments])
    ranges = np.array([max(float(np.ptp(column)), 1e-12) for column in means.T])
    largest = max(segments, key=lambda segment: float(segment["share"]))
    figure = go.Figure(
        go.Heatmap(
            z=((means - shares @ means) / ranges).T,
            x=[segment["name"] for segment in segments],
            y=[readable(column) for column in columns],
            text=[[mean_text(cell) for cell in row] for row in means.T],
            texttemplate="%{text}",
            colorscale="RdBu",
            reversescale=True,
            zmid=0,
            showscale=False,
        ),
        layout={"meta": {"min_width": MIN_WIDTH}},
    )
    names = "; ".join(f"{part['name']} ({percent(part['variance'], 0)} of the variance)" for part in components)
    return Section(
        "Segments of people",
        [
            f"{count(sum(segment['people'] for segment in segments))} people are in {len(segments)} segments. The "
            f"largest is “{largest['name']}” with {percent(largest['share'])} of the people.",
            "The cells are means. The colour shows the difference from the average person: red is above it, blue is "
            "below it. Coded columns show the mean of their codes: sex is the share of women, marital status is the "
            "share of people who are not single, and education, occupation and settlement size are levels, of which 0 "
            "is the lowest.",
            f"The segments were found on principal components, which are named by their largest loadings: {names}.",
        ],
        Table(
            ("segment", "people", "share", *(readable(column) for column in columns)),
            [
                (
                    segment["name"],
                    count(segment["people"]),
                    percent(segment["share"]),
                    *(mean_text(segment["means"][column]) for column in columns),
                )
                for segment in segments
            ],
            frozenset(range(1, 3 + len(columns))),
        ),
        figure_json(figure),
    )


def number_section(stored: Mapping[str, Any]) -> Section:
    """Show the dendrogram, where it is cut, and the loadings of the components.

    Args:
        stored: the record of a `people_segments.Segmentation`.
    """
    tree, components = stored["dendrogram"], stored["components"]
    lines = [
        go.Scatter(x=x, y=y, mode="lines", line={"color": COLOURS[0], "width": 1}, showlegend=False, hoverinfo="skip")
        for x, y in zip(tree["x"], tree["y"], strict=True)
    ]
    figure = go.Figure(lines, layout={"xaxis": {"visible": False}, "yaxis": {"title": "distance of merged clusters"}})
    figure.add_hline(y=tree["cut"], line_dash="dash")
    k = len(stored["segments"])
    silhouettes = {int(n): float(value) for n, value in stored["silhouettes"].items()}
    best = max(silhouettes, key=lambda n: silhouettes[n])
    return Section(
        "Why this number of segments",
        [
            f"The dendrogram is cut at the dashed line, where it has {k} branches: of all merges, the next one "
            "increases "
            f"the distance most. The silhouette of these segments is {silhouettes[k]:.3f}. The best silhouette of "
            f"{min(silhouettes)} to {max(silhouettes)} segments is {silhouettes[best]:.3f}, with {best} segments.",
        ],
        Table(
            ("loading", *(f"component {n}" for n in range(1, len(components) + 1))),
            [
                (readable(column), *(f"{part['loadings'][column]:+.2f}" for part in components))
                for column in components[0]["loadings"]
            ],
            frozenset(range(1, 1 + len(components))),
        ),
        figure_json(figure),
    )
