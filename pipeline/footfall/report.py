"""The footfall page: what the days were like, and how many buyers a number of visitors means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from pipeline.dates import format_day
from pipeline.footfall.buyers import MIN_DAYS, PUBLISHED_TESTED, Fit, leave_one_out, measure, one_third
from pipeline.footfall.features import Description, Summary, describe
from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import count

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import ModelVersion

LINE_POINTS = 60
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
SPLITS = 50
"""Draws of a third of the days, to show how far the figure depends on the draw."""


@dataclass(frozen=True)
class FootfallReport:
    """What the page shows.

    Attributes:
        champion, fit: the model in use, and what was stored with it.
        days: one row a day, in order: day (may be missing), visitors, buyers, predicted, low, high.
    """

    as_of: date
    champion: ModelVersion
    fit: Fit
    days: pd.DataFrame


def write_footfall_report(lake: Lake, report: FootfallReport) -> str:
    """Write the page and return its path below home."""
    found = describe(report.days)
    tiles = [
        Tile("days", count(len(report.days))),
        Tile("visitors a day", f"{found.visitors.mean:,.1f}"),
        Tile("buyers a day", f"{found.buyers.mean:,.1f}"),
        Tile("buyers a hundred visitors", f"{100 * found.conversion:.1f}"),
        Tile("days with more buyers than visitors", f"{100 * found.impossible_share:.1f} %"),
    ]
    undated = report.days["day"].isna().all()
    when = "days that the source does not date" if undated else f"days before {report.as_of}"
    return write_page(
        lake,
        f"footfall/{format_day(report.as_of)}",
        "Footfall",
        f"{count(len(report.days))} {when}. Line by version {report.champion.version} of {report.champion.name}.",
        [
            _description(found),
            _histograms(found),
            _together(report.days, found),
            _line(report),
            _unseen(report.days),
            _checks(report.fit),
        ],
        tiles,
    )


def _description(found: Description) -> Section:
    def row(name: str, of: Summary) -> tuple[str, ...]:
        values = (of.mean, of.std, of.minimum, of.lower_quartile, of.median, of.upper_quartile, of.maximum)
        return (name, count(of.count), *(f"{value:,.2f}" for value in values))

    sentences = [
        f"Visitors and buyers go together with a correlation of {found.correlation:.2f}."
        if np.isfinite(found.correlation)
        else "Visitors or buyers never vary, so nothing can be said of how they go together."
    ]
    if found.impossible_days:
        sentences.append(
            f"On {found.impossible_days} days ({100 * found.impossible_share:.1f} %) more people paid than came in. "
            "That cannot be: either the counter at the door misses people, or some who pay are not counted (staff, a "
            "second door), or people who came together pay apart. So the number of buyers a hundred visitors is too "
            "high as well."
        )
    return Section(
        "What the days were like",
        sentences,
        Table(
            ("", "days", "mean", "standard deviation", "minimum", "25 %", "median", "75 %", "maximum"),
            [row("visitors", found.visitors), row("buyers", found.buyers)],
            frozenset(range(1, 9)),
        ),
    )


def _histograms(found: Description) -> Section:
    figure = go.Figure(
        [
            go.Bar(name=name, x=list(counts), y=list(counts.values()), opacity=0.7)
            for name, counts in (("visitors", found.visitor_counts), ("buyers", found.buyer_counts))
        ],
        layout={"barmode": "overlay", "xaxis": {"title": "people"}, "yaxis": {"title": "days"}, "legend": LEGEND},
    )
    often, days = max(found.visitor_counts.items(), key=lambda item: (item[1], -item[0]))
    mostly, times = max(found.buyer_counts.items(), key=lambda item: (item[1], -item[0]))
    return Section(
        "How often each count came",
        [f"The commonest count of visitors is {often}, on {days} days; of buyers {mostly}, on {times}."],
        figure=str(figure.to_json()),
    )


def _together(days: pd.DataFrame, found: Description) -> Section:
    figure = go.Figure(
        go.Histogram2d(x=days["visitors"], y=days["buyers"], colorscale="Blues", colorbar={"title": "days"}),
        layout={"xaxis": {"title": "visitors"}, "yaxis": {"title": "buyers"}},
    )
    return Section(
        "Visitors and buyers together",
        [
            f"On {found.visitors.count - found.impossible_days} of {found.visitors.count} days there were no more "
            "buyers than visitors."
        ],
        figure=str(figure.to_json()),
    )


def _line(report: FootfallReport) -> Section:
    fit, days = report.fit, report.days
    at = np.linspace(days["visitors"].min(), days["visitors"].max(), LINE_POINTS)
    day, mean = fit.interval(at), fit.interval(at, of_a_day=False)
    figure = go.Figure(layout={"xaxis": {"title": "visitors"}, "yaxis": {"title": "buyers"}, "legend": LEGEND})
    for ends, name, shade in ((day, "95 % of days", 0.10), (mean, "95 % for the line", 0.25)):
        figure.add_scatter(
            x=[*at, *at[::-1]],
            y=[*ends[:, 1], *ends[::-1, 0]],
            fill="toself",
            fillcolor=f"rgba(31,95,168,{shade})",
            line={"width": 0},
            name=name,
        )
    line = fit.intercept.value + fit.slope.value * at
    figure.add_scatter(x=at, y=line, mode="lines", name="line", line={"color": "#1f5fa8"})
    figure.add_scatter(x=days["visitors"], y=days["buyers"], mode="markers", name="days", marker={"color": "#b3261e"})
    half = float((day[:, 1] - day[:, 0]).mean()) / 2
    return Section(
        "Buyers from visitors",
        [
            f"buyers = {fit.intercept.value:.2f} + {fit.slope.value:.3f} × visitors: ten more visitors mean "
            f"{10 * fit.slope.value:.1f} more buyers ({10 * fit.slope.low:.1f} to {10 * fit.slope.high:.1f}). One day "
            f"may be {half:.1f} buyers off the line."
        ],
        Table(
            ("coefficient", "value", "standard error", "95 % interval"),
            [
                (name, f"{c.value:.3f}", f"{c.standard_error:.3f}", f"{c.low:.3f} to {c.high:.3f}")
                for name, c in (("intercept", fit.intercept), ("visitors", fit.slope))
            ],
            frozenset(range(1, 4)),
        ),
        str(figure.to_json()),
    )


def _unseen(days: pd.DataFrame) -> Section:
    if len(days) < MIN_DAYS:
        return Section("How wrong it is on days that it has not seen", ["Too few days to tell."])
    said = leave_one_out(days)
    found = measure(days["buyers"].to_numpy(), said)
    spread = [one_third(days, seed) for seed in range(SPLITS)]
    ends = [float(min(*days["buyers"], *said)), float(max(*days["buyers"], *said))]
    figure = go.Figure(
        [
            go.Scatter(x=days["buyers"], y=said, mode="markers", name="days"),
            go.Scatter(x=ends, y=ends, mode="lines", name="just right", line={"dash": "dash"}),
        ],
        layout={
            "xaxis": {"title": "buyers"},
            "yaxis": {"title": "predicted from the other days"},
            "legend": LEGEND,
        },
    )
    return Section(
        "How wrong it is on days that it has not seen",
        [
            f"Each day predicted from all others: wrong by {found['mae']:.2f} buyers on average, {found['mape']:.1f} % "
            f"of them, and {100 * found['r2']:.1f} % of their variance explained.",
            f"Trained on {100 * (1 - PUBLISHED_TESTED):.0f} % of the days instead, the published way, the error is "
            f"{one_third(days):.4f}; but in {SPLITS} draws of such a third it goes from {min(spread):.2f} to "
            f"{max(spread):.2f}. That is too little data to train on, and no way to measure.",
        ],
        Table(
            ("error", "value"),
            [
                ("RMSE", f"{found['rmse']:.3f}"),
                ("MAE", f"{found['mae']:.3f}"),
                ("MAPE", f"{found['mape']:.2f} %"),
                ("R²", f"{found['r2']:.3f}"),
            ],
            frozenset({1}),
        ),
        str(figure.to_json()),
    )


def _checks(fit: Fit) -> Section:
    return Section(
        "Whether a line will do",
        [f"The line explains {100 * fit.r2:.1f} % of the variance of the days that it was made from."],
        Table(
            ("check of the residuals", "statistic", "p", "what it says"),
            [(c.name, f"{c.statistic:.3f}", "–" if c.p is None else f"{c.p:.3f}", c.sentence) for c in fit.checks],
            frozenset({1, 2}),
        ),
    )
