"""Sections on the segments of people: their means, and why there are so many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json, wrapped
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import count, number, percent, signed
from pipeline.shoppers.features import DEMOGRAPHICS
from pipeline.shoppers.labels import LABELS

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
            y=[wrapped(LABELS[column].title) for column in columns],
            text=[[LABELS[column].mean(cell) for cell in row] for column, row in zip(columns, means.T, strict=True)],
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
            f"below it. {_levels()}",
            f"The segments were found on principal components, which are named by their largest loadings: {names}.",
        ],
        Table(
            ("segment", "people", "share", *(LABELS[column].title for column in columns)),
            [
                (
                    segment["name"],
                    count(segment["people"]),
                    percent(segment["share"]),
                    *(LABELS[column].mean(segment["means"][column]) for column in columns),
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
            f"the distance most. The silhouette of these segments, which says how clearly they are apart "
            f"(-1 to 1), is {number(silhouettes[k])}. The best of {min(silhouettes)} to {max(silhouettes)} segments is "
            f"{number(silhouettes[best])}, with {best} segments.",
        ],
        Table(
            ("loading", *(f"component {n}" for n in range(1, len(components) + 1))),
            [
                (LABELS[column].text, *(signed(part["loadings"][column]) for part in components))
                for column in components[0]["loadings"]
            ],
            frozenset(range(1, 1 + len(components))),
        ),
        figure_json(figure),
    )


def _levels() -> str:
    """Say what the numbers of columns with several levels mean."""
    levels = (
        f"{label.text} from {min(label.codes)} ({label.codes[min(label.codes)]}) to {max(label.codes)} "
        f"({label.codes[max(label.codes)]})"
        for label in (LABELS[column] for column in DEMOGRAPHICS)
        if len(label.codes) > 2
    )
    return f"Levels are numbered: {'; '.join(levels)}."
