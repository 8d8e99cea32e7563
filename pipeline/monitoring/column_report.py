"""The parts of a drift page that are about columns: then and now in words, distributions, and distances over time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json, stacked_figure, with_opacity
from pipeline.reports.labels import ASKED, Label, label_of, metric_of
from pipeline.reports.page import Section
from pipeline.reports.phrasing import MISSING, counted, decimal, percent

if TYPE_CHECKING:
    from pipeline.monitoring.distributions import Distribution
    from pipeline.monitoring.drift import DriftOutcome
    from pipeline.training.monitored import ColumnDrift

History = Mapping[str, Sequence[tuple[date, float]]]
"""Column -> its distance from the training on the days of the checks, oldest first."""
UNITS = {
    "wasserstein": "std. deviations",
    "jensenshannon": "Jensen-Shannon distance, at most 0.83",
    "psi": "population stability index",
    "hellinger": "Hellinger distance, at most 1",
    "ratio": "times the promised error",
}
MAX_LINES = len(COLOURS)
"""Columns with a line of their own in the history; the others are grey."""
TICKS = 6
MAX_WORD = 40


@dataclass(frozen=True)
class Cells:
    """A column at training and on the day, as text."""

    training: str
    day: str


def label_of_column(column: ColumnDrift, labels: Mapping[str, Label]) -> Label:
    """The label of a compared column, of predictions or of an error."""
    if column.kind == "performance":
        return Label(metric_of(column.column).text)
    return label_of(labels, column.column.removesuffix(ASKED) if column.kind == "request" else column.column)


def distance_text(distance: float | None) -> str:
    """Write a distance or a threshold."""
    return MISSING if distance is None else decimal(distance, 3)


def distance_unit(column: ColumnDrift, outcome: DriftOutcome) -> str:
    """The unit of a column's distance."""
    unit = UNITS.get(column.method, column.method)
    found = outcome.distribution_of(column)
    return f"{unit} of the log" if found and found.log and column.method == "wasserstein" else unit


def cells_of(column: ColumnDrift, outcome: DriftOutcome, labels: Mapping[str, Label]) -> Cells:
    """A column then and now: its mean, or the share of the category whose share has changed most."""
    label = label_of_column(column, labels)
    if column.kind == "performance" and outcome.performance:
        metric = metric_of(outcome.performance.metric)
        return Cells(metric.value(outcome.performance.expected), metric.value(outcome.performance.observed))
    found = outcome.distribution_of(column)
    side = found.current_of(column.kind) if found else None
    if found is None or side is None:
        return Cells(MISSING, MISSING)
    if found.categories:
        place = int(np.argmax(np.abs(np.subtract(side.shares, found.training.shares)).round(9)))
        word = _short(label.word(found.categories[place]))
        return Cells(*(f"{word} {percent(values.shares[place])}" for values in (found.training, side)))
    return Cells(label.mean(found.training.mean), label.mean(side.mean))


def history_section(columns: Sequence[ColumnDrift], history: History, labels: Mapping[str, Label]) -> Section:
    """Draw the distance of every column over the days of the checks, as a multiple of its threshold.

    Args:
        columns: those that drifted first; these have colours.
        history: each column's distances.
        labels: what the columns are called.
    """
    figure = go.Figure()
    known = [column for column in columns if column.column in history]
    coloured = [column.column for column in known if column.drifted][:MAX_LINES]
    for column in reversed(known):
        days, scores = zip(*history[column.column], strict=True)
        drawn = column.column in coloured
        name = label_of_column(column, labels).text + (ASKED if column.kind == "request" else "")
        figure.add_scatter(
            x=[day.isoformat() for day in days],
            y=[score / column.threshold for score in scores],
            name=name,
            mode="lines+markers",
            line={"color": COLOURS[coloured.index(column.column)] if drawn else with_opacity(GREY, 0.5)},
            marker={"size": 6 if drawn else 4},
            showlegend=drawn,
            hovertemplate=f"%{{x}}: %{{y:.2f}} times the threshold<extra>{_short(name)}</extra>",
        )
    figure.add_hline(y=1, line_dash="dash", line_color=GREY)
    checks = len({day for points in history.values() for day, _ in points})
    return Section(
        "How the distances have moved",
        [
            f"The distance of each column from the training on the {counted(checks, 'day')} on which this version was "
            "checked, as a multiple of the column's threshold. A line that reaches the dashed line at 1 is drift. "
            "Columns that have not drifted are grey."
        ],
        figure=figure_json(
            figure,
            xaxis={"type": _axis_type({day for points in history.values() for day, _ in points})},
            yaxis={"title": "distance ÷ threshold", "rangemode": "tozero"},
        ),
    )


def column_section(
    column: ColumnDrift, outcome: DriftOutcome, points: Sequence[tuple[date, float]], labels: Mapping[str, Label]
) -> Section:
    """Draw the distribution of a column then and now, and for a drifted one its distance day by day."""
    found = outcome.distribution_of(column)
    if found is None:
        raise ValueError(f"{column.column} has no distribution")
    label = label_of_column(column, labels)
    titles = ["share of the rows" if found.categories else "share of the values"]
    if column.drifted and points:
        titles.append("distance from the training")
    figure = stacked_figure(titles)
    sides = [("at training", found.training, GREY), ("on this day", found.day, COLOURS[1 if column.drifted else 0])]
    if found.requests:
        sides.append(("asked of the service", found.requests, COLOURS[3]))
    for name, values, colour in sides:
        draw = _bars if found.categories else _steps
        figure.add_trace(draw(found, label, values.shares).update(name=name, marker_color=colour), row=1, col=1)
    figure.update_yaxes(title="%", rangemode="tozero", row=1, col=1)
    figure.update_xaxes(**_axis(found, label), row=1, col=1)
    if len(titles) > 1:
        _add_history(figure, points, column)
    return Section(
        _capital(label.text),
        _sentences(column, outcome, found, label),
        figure=figure_json(figure, heights=len(titles), barmode="group"),
    )


def _sentences(column: ColumnDrift, outcome: DriftOutcome, found: Distribution, label: Label) -> list[str]:
    name = _capital(label.text)
    if found.categories:
        cells = cells_of(column, outcome, {column.column: label})
        change = f"{name}: {cells.training} at training, now {cells.day}."
    else:
        then, now = label.mean(found.training.mean), label.mean(found.day.mean)
        change = f"{name}: {then} on average at training, now {now}"
        if found.training.median is not None and found.day.median is not None:
            change += (
                f"; half of the rows were below {label.bare(found.training.median)}, now {label.bare(found.day.median)}"
            )
        change += "."
    if column.score is None:
        return [change, "There were too few values to measure a distance."]
    verdict = "this is drift" if column.drifted else "this is no drift"
    distance = (
        f"The distance is {distance_text(column.score)} ({distance_unit(column, outcome)}), its threshold "
        f"{distance_text(column.threshold)}: {verdict}."
    )
    if column.drifted and column.score < column.threshold:
        distance = (
            f"The distance is {distance_text(column.score)} and its threshold {distance_text(column.threshold)}. It "
            f"counts as drift because {percent(column.reference_missing)} of the values were missing at training and "
            f"{percent(column.current_missing)} are now."
        )
    return [change, distance]


def _bars(found: Distribution, label: Label, shares: Sequence[float]) -> go.Bar:
    words = [_short(label.word(name)) for name in found.categories]
    return go.Bar(x=words, y=[100 * share for share in shares], hovertemplate="%{x}: %{y:.1f} %")


def _steps(found: Distribution, label: Label, shares: Sequence[float]) -> go.Bar:
    """Bars side by side over the positions of the bins, which `_axis` labels by the edges."""
    ends = [label.bare(edge) for edge in found.edges]
    return go.Bar(
        x=[place + 0.5 for place in range(len(shares))],
        y=[100 * share for share in shares],
        text=[f"{low} to {high}" for low, high in pairwise(ends)],
        textposition="none",
        hovertemplate="%{text}: %{y:.1f} %",
    )


def _axis(found: Distribution, label: Label) -> dict[str, Any]:
    if found.categories:
        return {"type": "category", "title": label.title}
    bins = len(found.edges) - 1
    places = sorted({round(k * bins / (TICKS - 1)) for k in range(TICKS)})
    texts = [label.bare(found.edges[place]) for place in places]
    return {"title": label.title, "tickmode": "array", "tickvals": places, "ticktext": texts}


def _add_history(figure: go.Figure, points: Sequence[tuple[date, float]], column: ColumnDrift) -> None:
    days, scores = zip(*points, strict=True)
    figure.add_scatter(
        x=[day.isoformat() for day in days],
        y=list(scores),
        mode="lines+markers",
        line={"color": COLOURS[1]},
        showlegend=False,
        hovertemplate="%{x}: %{y:.3f}<extra></extra>",
        row=2,
        col=1,
    )
    figure.add_hline(y=column.threshold, line_dash="dash", line_color=GREY, row=2, col=1)
    figure.update_xaxes(type=_axis_type(points), row=2, col=1)
    figure.update_yaxes(title="distance", rangemode="tozero", row=2, col=1)


def _axis_type(days: Collection[object]) -> str:
    """The type of an axis of days. Around a single one, Plotly would draw fractions of a second."""
    return "date" if len(days) > 1 else "category"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _short(text: str) -> str:
    return text if len(text) <= MAX_WORD else text[: MAX_WORD - 1] + "…"
