"""The drift page of a model: its training compared with a later day, column by column, in words and pictures."""

from __future__ import annotations

from datetime import date
from html import escape
from typing import TYPE_CHECKING

from pipeline.dates import format_day
from pipeline.lake.tables import Lake
from pipeline.monitoring.column_report import (
    History,
    cells_of,
    column_section,
    distance_text,
    distance_unit,
    history_section,
    label_of_column,
)
from pipeline.monitoring.request_log import DAYS
from pipeline.reports.headers import DISTRIBUTIONS
from pipeline.reports.labels import metric_of
from pipeline.reports.page import REPORTS, Link, Section, Table, Tile, Tone, section_anchors, write_page
from pipeline.reports.phrasing import MISSING, count, percent, readable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.monitoring.drift import DriftOutcome, DriftStatus
    from pipeline.registry.records import ModelVersion
    from pipeline.reports.labels import Label
    from pipeline.training.monitored import ColumnDrift

TONES: Mapping[DriftStatus, Tone] = {
    "drift": "bad",
    "no drift": "good",
    "too few rows": "wait",
    "nothing to compare yet": "wait",
}
HEADING_COLUMNS = "What was, and what is now"


def write_drift_page(
    lake: Lake,
    version: ModelVersion,
    outcome: DriftOutcome,
    *,
    day: date,
    retrain: bool,
    reason: str,
    minimum: int,
    labels: Mapping[str, Label],
    history: History,
) -> str:
    """Write the drift page, and Evidently's page of the same comparison, to which it links.

    Args:
        lake: where pages are written.
        version: the champion.
        outcome: of the comparison.
        day: the as-of day that was compared with the training.
        retrain: whether a training is requested.
        reason: why, or why not.
        minimum: rows that a comparison needs on either side.
        labels: what the columns are called.
        history: each column's distances up to this day.

    Returns:
        The page's path below home.
    """
    folder, name = f"drift/{version.name}", readable(version.name)
    shown = _ordered(outcome)
    drawn = [column for column in shown if column.kind != "request" and outcome.distribution_of(column)]
    sections = [_decision(outcome, retrain, reason, minimum)]
    if shown:
        history_of_all = history_section(shown, history, labels)
        of_columns = [column_section(column, outcome, history.get(column.column, ()), labels) for column in drawn]
        # The table comes before what it links to; its heading is all that counts for their anchors.
        anchors = section_anchors([*sections, Section(HEADING_COLUMNS), history_of_all, *of_columns])[-len(drawn) :]
        links = {column.column: f"#{anchor}" for column, anchor in zip(drawn, anchors, strict=False)}
        table = _columns([column for column in shown if column.kind != "request"], outcome, labels, links)
        sections += [table, history_of_all, *of_columns]
    if requests := [column for column in shown if column.kind == "request"]:
        sections.append(_requests(requests, outcome, labels))
    if outcome.html:
        page = _with_way_back(outcome, f"../{format_day(day)}.html", name)
        lake.write_blob(f"{REPORTS}/{folder}/{DISTRIBUTIONS}/{format_day(day)}.html", page)
        sections.append(_source(day))
    return write_page(
        lake,
        f"{folder}/{format_day(day)}",
        f"Drift of {name}",
        f"The rows that version {version.version} was trained on, as of {format_day(version.provenance.as_of)}, "
        f"compared with the rows as of {format_day(day)}.",
        sections,
        _tiles(outcome),
    )


def _ordered(outcome: DriftOutcome) -> list[ColumnDrift]:
    """The columns, those that drifted first, the largest multiple of its threshold leading."""
    return sorted(outcome.columns, key=lambda column: (not column.drifted, -(column.score or 0) / column.threshold))


def _tiles(outcome: DriftOutcome) -> list[Tile]:
    data = [column for column in outcome.columns if column.kind == "data"]
    tiles = [
        Tile("verdict", outcome.verdict, TONES[outcome.verdict]),
        Tile("inputs drifted", f"{sum(column.drifted for column in data)} of {len(data)}" if data else MISSING),
        Tile("rows at training", count(outcome.reference_rows)),
        Tile("rows on this day", count(outcome.current_rows)),
    ]
    if error := outcome.performance:
        metric = metric_of(error.metric)
        label = f"{metric.text} on {count(error.rows)} predictions, {metric.value(error.expected)} promised"
        tiles.append(Tile(label, metric.value(error.observed), "bad" if error.column.drifted else "good"))
    return tiles


def _decision(outcome: DriftOutcome, retrain: bool, reason: str, minimum: int) -> Section:
    sentences = [f"{'A training is requested' if retrain else 'No training is requested'}: {reason}."]
    if outcome.verdict == "too few rows":
        sentences.append(
            f"There are {count(outcome.reference_rows)} rows of the training and {count(outcome.current_rows)} of this "
            f"day, and a comparison needs at least {count(minimum)} of each. Drift can be neither found nor excluded."
        )
    return Section("Decision", sentences)


def _columns(
    columns: Sequence[ColumnDrift], outcome: DriftOutcome, labels: Mapping[str, Label], links: Mapping[str, str]
) -> Section:
    with_missing = any(column.reference_missing or column.current_missing for column in columns)

    def row(column: ColumnDrift) -> tuple[str | Link, ...]:
        name = label_of_column(column, labels).text
        cells = cells_of(column, outcome, labels)
        link = links.get(column.column)
        return (
            Link(name, link) if link else name,
            "drifted" if column.drifted else "not drifted",
            cells.training,
            cells.day,
            *_distance(column, outcome),
            *(_missing(column) if with_missing else ()),
        )

    missing = ("missing at training", "missing on this day") if with_missing else ()
    return Section(
        HEADING_COLUMNS,
        [
            "Each column at training and on this day: the mean, or the category whose share has changed most. A column "
            "has drifted when the distance between the two distributions reaches its threshold, or when the share of "
            "missing values has changed by 10 percentage points or more."
        ],
        Table(
            (
                "column",
                "verdict",
                "at training",
                "on this day",
                "distance",
                "threshold",
                "unit of the distance",
                *missing,
            ),
            [row(column) for column in columns],
            frozenset({2, 3, 4, 5, 7, 8}),
            {"drifted": "bad"},
        ),
    )


def _requests(columns: Sequence[ColumnDrift], outcome: DriftOutcome, labels: Mapping[str, Label]) -> Section:
    def row(column: ColumnDrift) -> tuple[str, ...]:
        cells = cells_of(column, outcome, labels)
        verdict = "differs" if column.drifted else "does not differ"
        name = label_of_column(column, labels).text
        return (name, verdict, cells.training, cells.day, *_distance(column, outcome))

    return Section(
        "What the prediction service was asked",
        [
            f"The inputs of {count(outcome.request_rows)} requests of the last {DAYS} days, and the training. They are "
            "no reason to train again: they depend on who sends requests, not on the shop."
        ],
        Table(
            ("column", "verdict", "at training", "in requests", "distance", "threshold", "unit of the distance"),
            [row(column) for column in columns],
            frozenset({2, 3, 4, 5}),
            {"differs": "wait"},
        ),
    )


def _distance(column: ColumnDrift, outcome: DriftOutcome) -> tuple[str, str, str]:
    return distance_text(column.score), distance_text(column.threshold), distance_unit(column, outcome)


def _missing(column: ColumnDrift) -> tuple[str, str]:
    if column.kind == "performance":
        return MISSING, MISSING
    return percent(column.reference_missing), percent(column.current_missing)


def _source(day: date) -> Section:
    link = Link("Evidently's report of this comparison", f"{DISTRIBUTIONS}/{format_day(day)}.html")
    return Section(
        "Where the distances come from",
        ["The distances are computed by the library Evidently. Its own report shows the values on the scale compared."],
        Table(("page",), [(link,)]),
    )


def _with_way_back(outcome: DriftOutcome, href: str, name: str) -> bytes:
    """Evidently's page with a title, and with the verdict and a link to the drift page at its top."""
    drifted = f" of {escape(', '.join(outcome.drifted))}" if outcome.drifted else ""
    banner = (
        '<p style="font: 1rem/1.5 sans-serif; margin: 0; padding: 1rem">'
        f'<a href="{escape(href)}" target="_blank" rel="noopener">Drift of {escape(name)}</a>: '
        f"{escape(outcome.verdict)}{drifted}.</p>"
    )
    title = f"<title>Evidently: drift of {escape(name)}</title>"
    page = outcome.html.replace(b"<head>", b"<head>" + title.encode(), 1)
    return page.replace(b"<body>", b"<body>" + banner.encode(), 1)
