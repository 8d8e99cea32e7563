"""The charts of the study's page: elbows, silhouettes, the spaces as pictures, a dendrogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from scipy.cluster.hierarchy import dendrogram, linkage
from sklearn.decomposition import PCA

from pipeline.customers.study.clusterings import ALGORITHMS, KMEANS, WARD, Clustering, cluster
from pipeline.customers.study.spaces import LOG_STANDARDISED
from pipeline.customers.study.study import MIN_SEGMENTS, Study
from pipeline.reports.charts import COLOURS, DASHES, figure_json, stacked_figure
from pipeline.reports.page import Section
from pipeline.reports.phrasing import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SHOWN_MERGES = 30
DRAWN = 1_500
"""Customers in a picture, at most."""


def elbow_section(study: Study) -> Section:
    """How the inertia falls with the number of clusters, and where it bends."""
    figure = stacked_figure(ALGORITHMS)
    for row, algorithm in enumerate(ALGORITHMS, 1):
        _add_curves(figure, row, study, algorithm, lambda one, first: one.inertia / first.inertia, elbows=True)
    return Section(
        "Inertia and its elbow",
        ["Within-cluster sum of squares, relative to that of two clusters. The large mark is the elbow."],
        figure=figure_json(figure, heights=len(ALGORITHMS)),
    )


def silhouette_section(study: Study) -> Section:
    """The silhouettes of k-means in each space and in the plain features, and its stability."""
    charts: dict[str, Callable[[Clustering, Clustering], float]] = {
        "silhouette in the space itself": lambda one, _: one.silhouette,
        "silhouette in the plain features": lambda one, _: one.plain_silhouette,
        "stability": lambda one, _: one.stability,
    }
    figure = stacked_figure(list(charts))
    for row, height in enumerate(charts.values(), 1):
        _add_curves(figure, row, study, KMEANS, height)
    return Section(
        "Silhouette and stability",
        [
            "Clusters of k-means. Where the first chart is high and the second, of the same clusters, is low, the "
            "drawing made the groups."
        ],
        figure=figure_json(figure, heights=len(charts)),
    )


def pictures_section(study: Study, seed: int) -> Section:
    """Each space in two dimensions, with the same clusters in the same colours."""
    plain = next(space.points for space in study.spaces if space.name == LOG_STANDARDISED)
    curve = [one for one in _curve(study, LOG_STANDARDISED, KMEANS) if one.k >= MIN_SEGMENTS]
    k = max(curve, key=lambda one: one.silhouette).k
    labels = cluster(plain, KMEANS, [k], seed)[k]
    shown = np.linspace(0, len(plain) - 1, min(len(plain), DRAWN)).astype(int)
    figure = stacked_figure([space.name for space in study.spaces])
    for row, space in enumerate(study.spaces, 1):
        flat = _flat(space.points, seed)
        # Far outliers would press everybody else into a corner.
        low, high = np.quantile(flat, [0.005, 0.995], axis=0)
        for label in range(k):
            members = flat[shown[labels[shown] == label]].clip(low, high).round(2)
            figure.add_scatter(
                x=members[:, 0].tolist(),
                y=members[:, 1].tolist(),
                mode="markers",
                marker={"size": 3, "color": COLOURS[label % len(COLOURS)]},
                name=f"cluster {label + 1}",
                legendgroup=str(label),
                showlegend=row == 1,
                hoverinfo="skip",
                row=row,
                col=1,
            )
    return Section(
        "The spaces as pictures",
        [
            f"A point is a customer; {count(len(shown))} are drawn. Its colour is the same everywhere: its cluster of "
            f"the {k} that k-means finds in the plain features. Spaces of more than two dimensions are drawn by their "
            "first two principal components, and the outermost half per cent of the points at the edge."
        ],
        figure=figure_json(figure, heights=len(study.spaces)),
    )


def _flat(points: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Points in two dimensions, by their first principal components; a single dimension gets a second of zeros."""
    if points.shape[1] < 2:
        return np.column_stack([points, np.zeros(len(points))])
    if points.shape[1] == 2:
        return points
    return np.asarray(PCA(2, random_state=seed).fit_transform(points), dtype=np.float64)


def dendrogram_section(study: Study) -> Section:
    """The last joins of Ward's method in the plain features."""
    plain = next(space.points for space in study.spaces if space.name == LOG_STANDARDISED)
    tree = dendrogram(linkage(plain, "ward"), truncate_mode="lastp", p=SHOWN_MERGES, no_plot=True)
    figure = go.Figure(
        [
            go.Scatter(x=x, y=y, mode="lines", line={"color": COLOURS[0]}, hoverinfo="y", showlegend=False)
            for x, y in zip(tree["icoord"], tree["dcoord"], strict=True)
        ],
        layout={
            "yaxis": {"title": "distance at which two clusters are joined"},
            "xaxis": {
                "tickvals": [10 * at + 5 for at in range(len(tree["ivl"]))],
                "ticktext": [text.strip("()") for text in tree["ivl"]],
                "title": "customers in the branch",
                "tickangle": 90,
            },
        },
    )
    return Section(
        "Dendrogram",
        [
            f"{WARD}'s method in the plain features; the last {SHOWN_MERGES} branches. Long uprights above a height "
            "mean that the clusters cut there are apart; joins at ever smaller steps mean one cloud."
        ],
        figure=figure_json(figure, heights=2),
    )


def _add_curves(
    figure: go.Figure,
    row: int,
    study: Study,
    algorithm: str,
    height: Callable[[Clustering, Clustering], float],
    *,
    elbows: bool = False,
) -> None:
    """Add a line for each space to a row of charts.

    Args:
        figure: the figure.
        row: the row, from 1.
        study: the study.
        algorithm: one of `ALGORITHMS`.
        height: of a point, from its clustering and that of two clusters.
        elbows: whether the elbow has a large mark.
    """
    for at, space in enumerate(study.spaces):
        curve = _curve(study, space.name, algorithm)
        figure.add_scatter(
            x=[one.k for one in curve],
            y=[round(height(one, curve[0]), 4) for one in curve],
            name=space.name,
            mode="lines+markers",
            line={"color": COLOURS[at], "dash": DASHES[at]},
            marker={"size": [11 if elbows and one.elbow else 4 for one in curve]},
            legendgroup=space.name,
            showlegend=row == 1,
            row=row,
            col=1,
        )


def _curve(study: Study, space: str, algorithm: str) -> list[Clustering]:
    return [one for one in study.clusterings if (one.space, one.algorithm) == (space, algorithm)]
