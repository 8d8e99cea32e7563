"""The footfall page: a description of the days, and buyers predicted from visitors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from pipeline.dates import format_day
from pipeline.footfall.buyers import MIN_DAYS, PUBLISHED_TEST_SHARE, Fit, leave_one_out, measure, one_third
from pipeline.footfall.features import Description, Summary, describe
from pipeline.lake.tables import Lake
from pipeline.reports.charts import COLOURS, figure_json, with_opacity
from pipeline.reports.labels import METRICS
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import MISSING, count, counted, decimal, number, percent, readable

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import ModelVersion

LINE_POINTS = 60
SPLITS = 50
"""Random draws of a third of the days, which show how much the error depends on the draw."""


@dataclass(frozen=True)
class FootfallReport:
    """The content of the page.

    Attributes:
        as_of: only earlier days are shown.
        champion, fit: the model in use, and what was stored with it.
        days: one row per day, in order: day (may be missing), visitors, buyers, predicted, low, high.
    """

    as_of: date
    champion: ModelVersion
    fit: Fit
    days: pd.DataFrame


def write_footfall_report(lake: Lake, report: FootfallReport) -> str:
    """Write the page and return its path below home."""
    description = describe(report.days)
    tiles = [
        Tile("days", count(len(report.days))),
        Tile("visitors per day", decimal(description.visitors.mean, 1)),
        Tile("buyers per day", decimal(description.buyers.mean, 1)),
        Tile("of the visitors buy", percent(description.conversion)),
        Tile("days with more buyers than visitors", percent(description.impossible_share)),
    ]
    undated = report.days["day"].isna().all()
    which = "days without a date" if undated else f"days before {report.as_of}"
    return write_page(
        lake,
        f"footfall/{format_day(report.as_of)}",
        "Footfall",
        f"{count(len(report.days))} {which}. The line is version {report.champion.version} of "
        f"{readable(report.champion.name)}.",
        [
            _description_section(description),
            _histograms_section(description),
            _joint_section(report.days, description),
            _line_section(report),
            _error_section(report.days),
            _checks_section(report.fit),
        ],
        tiles,
    )


def _description_section(description: Description) -> Section:
    def row(name: str, summary: Summary) -> tuple[str, ...]:
        quartiles = (summary.lower_quartile, summary.median, summary.upper_quartile)
        values = (summary.mean, summary.std, summary.minimum, *quartiles, summary.maximum)
        return (name, count(summary.count), *(decimal(value, 1) for value in values))

    sentences = [
        f"The correlation of visitors and buyers is {decimal(description.correlation, 2)}."
        if np.isfinite(description.correlation)
        else "The number of visitors or of buyers never varies, so their correlation is not known."
    ]
    if description.impossible_days:
        sentences.append(
            f"On {description.impossible_days} days ({percent(description.impossible_share)}) there were more buyers "
            "than visitors, which is impossible. Either the counter at the door misses people, or some buyers are not "
            "counted as visitors (staff, a second door), or people who come together pay separately. So the share of "
            "visitors who buy is too high as well."
        )
    return Section(
        "What the days were like",
        sentences,
        Table(
            ("people a day", "days", "mean", "standard deviation", "minimum", "25 %", "median", "75 %", "maximum"),
            [row("visitors", description.visitors), row("buyers", description.buyers)],
            frozenset(range(1, 9)),
        ),
    )


def _histograms_section(description: Description) -> Section:
    figure = go.Figure(
        [
            go.Bar(name=name, x=list(counts), y=list(counts.values()), opacity=0.7)
            for name, counts in (("visitors", description.visitor_counts), ("buyers", description.buyer_counts))
        ],
        layout={"barmode": "overlay", "xaxis": {"title": "people a day"}, "yaxis": {"title": "days"}},
    )
    visitors, visitor_days = _most_frequent(description.visitor_counts)
    buyers, buyer_days = _most_frequent(description.buyer_counts)
    return Section(
        "How often each number occurred",
        [
            f"The most frequent number of visitors is {visitors}, on {counted(visitor_days, 'day')}. The most frequent "
            f"number of buyers is {buyers}, on {counted(buyer_days, 'day')}."
        ],
        figure=figure_json(figure),
    )


def _joint_section(days: pd.DataFrame, description: Description) -> Section:
    figure = go.Figure(
        go.Histogram2d(x=days["visitors"], y=days["buyers"], colorscale="Blues", colorbar={"title": "days"}),
        layout={"xaxis": {"title": "visitors a day"}, "yaxis": {"title": "buyers a day"}},
    )
    return Section(
        "Visitors and buyers together",
        [
            f"On {description.visitors.count - description.impossible_days} of {description.visitors.count} days there "
            "were at most as many buyers as visitors."
        ],
        figure=figure_json(figure),
    )


def _line_section(report: FootfallReport) -> Section:
    fit, days = report.fit, report.days
    visitors = np.linspace(days["visitors"].min(), days["visitors"].max(), LINE_POINTS)
    day, mean = fit.interval(visitors), fit.interval(visitors, of_a_day=False)
    figure = go.Figure(layout={"xaxis": {"title": "visitors a day"}, "yaxis": {"title": "buyers a day"}})
    for ends, name, opacity in ((day, "95 % of days", 0.10), (mean, "95 % interval of the line", 0.25)):
        figure.add_scatter(
            x=[*visitors, *visitors[::-1]],
            y=[*ends[:, 1], *ends[::-1, 0]],
            fill="toself",
            fillcolor=with_opacity(COLOURS[0], opacity),
            line={"width": 0},
            name=name,
        )
    line = fit.intercept.value + fit.slope.value * visitors
    figure.add_scatter(x=visitors, y=line, mode="lines", name="line", line={"color": COLOURS[0]})
    figure.add_scatter(x=days["visitors"], y=days["buyers"], mode="markers", name="days", marker={"color": COLOURS[1]})
    half_width = float((day[:, 1] - day[:, 0]).mean()) / 2
    return Section(
        "Buyers from visitors",
        [
            f"buyers = {number(fit.intercept.value)} + {number(fit.slope.value)} × visitors: ten more visitors mean "
            f"{decimal(10 * fit.slope.value, 1)} more buyers (95 % interval {decimal(10 * fit.slope.low, 1)} to "
            f"{decimal(10 * fit.slope.high, 1)}). On 95 days of 100 the number of buyers is within "
            f"{decimal(half_width, 1)} of the line."
        ],
        Table(
            ("coefficient", "value", "standard error", "95 % interval"),
            [
                (name, number(c.value), number(c.standard_error), f"{number(c.low)} to {number(c.high)}")
                for name, c in (("buyers without visitors", fit.intercept), ("buyers for each visitor", fit.slope))
            ],
            frozenset(range(1, 4)),
        ),
        figure_json(figure),
    )


def _error_section(days: pd.DataFrame) -> Section:
    heading = "How large the error is on unseen days"
    if len(days) < MIN_DAYS:
        return Section(heading, [f"There are too few days to measure it: {len(days)}, and {MIN_DAYS} are needed."])
    predicted = leave_one_out(days)
    metrics = measure(days["buyers"].to_numpy(), predicted)
    errors_of_thirds = [one_third(days, seed) for seed in range(SPLITS)]
    ends = [float(min(*days["buyers"], *predicted)), float(max(*days["buyers"], *predicted))]
    figure = go.Figure(
        [
            go.Scatter(x=days["buyers"], y=predicted, mode="markers", name="days"),
            go.Scatter(x=ends, y=ends, mode="lines", name="no error", line={"dash": "dash"}),
        ],
        layout={
            "xaxis": {"title": "buyers a day"},
            "yaxis": {"title": "buyers a day, predicted from the other days"},
        },
    )
    return Section(
        heading,
        [
            "Each day is predicted from a line that is fitted to all other days. The mean error is "
            f"{number(metrics['mae'])} buyers, or {percent(metrics['mape'])} of the day's buyers, and "
            f"{percent(metrics['r2'])} of the variance is explained.",
            f"The published analysis trains on {percent(1 - PUBLISHED_TEST_SHARE, 0)} of the days and tests on the "
            f"others; its typical error (RMSE) is {number(one_third(days))} buyers. In {SPLITS} random draws of such "
            f"a third it is between {number(min(errors_of_thirds))} and {number(max(errors_of_thirds))}, so a single "
            "draw is not a reliable measure.",
        ],
        Table(
            ("figure", "value", "what it measures"),
            [
                (
                    METRICS[name].text,
                    METRICS[name].value(metrics[name]) + (" buyers" if name in ("rmse", "mae") else ""),
                    METRICS[name].meaning,
                )
                for name in ("rmse", "mae", "mape", "r2")
            ],
            frozenset({1}),
        ),
        figure_json(figure),
    )


def _checks_section(fit: Fit) -> Section:
    return Section(
        "Whether a straight line is adequate",
        [f"The line explains {percent(fit.r2)} of the variance of its training days."],
        Table(
            ("check of the residuals", "statistic", "p-value", "result"),
            [
                (c.name, number(c.statistic), MISSING if c.p is None else decimal(c.p, 3), c.sentence)
                for c in fit.checks
            ],
            frozenset({1, 2}),
        ),
    )


def _most_frequent(counts: dict[int, int]) -> tuple[int, int]:
    """Return the value that most days have, and their number; the smallest value on a tie."""
    return max(counts.items(), key=lambda item: (item[1], -item[0]))
