"""The drift page of a model: its training compared with a later day, column by column."""

from __future__ import annotations

from datetime import date
from html import escape
from typing import TYPE_CHECKING

from pipeline.dates import format_day
from pipeline.lake.tables import Lake
from pipeline.reports.headers import DISTRIBUTIONS
from pipeline.reports.page import REPORTS, Link, Section, Table, Tile, Tone, write_page
from pipeline.reports.phrasing import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.monitoring.drift import DriftOutcome, DriftStatus
    from pipeline.registry.records import ModelVersion
    from pipeline.training.monitored import ColumnDrift

TONES: Mapping[DriftStatus, Tone] = {
    "drift": "bad",
    "no drift": "good",
    "too few rows": "wait",
    "nothing to compare yet": "wait",
}
UNITS = {
    "wasserstein": "standard deviations",
    "jensenshannon": "Jensen-Shannon distance",
    "ratio": "times the expected error",
}


def write_drift_page(
    lake: Lake, version: ModelVersion, outcome: DriftOutcome, *, day: date, retrain: bool, reason: str, minimum: int
) -> str:
    """Write the drift page, and Evidently's page of the distributions, to which it links.

    Args:
        lake: where pages are written.
        version: the champion.
        outcome: of the comparison.
        day: the as-of day that was compared with the training.
        retrain: whether a training is requested.
        reason: why, or why not.
        minimum: rows that a comparison needs on either side.

    Returns:
        The page's path below home.
    """
    folder, name = f"drift/{version.name}", _readable(version.name)
    trained = format_day(version.provenance.as_of)
    sections = [_decision(outcome, retrain, reason, minimum)]
    if outcome.columns:
        sections.append(_columns(outcome))
    if outcome.html:
        page = _with_way_back(outcome, f"../{format_day(day)}.html", name)
        lake.write_blob(f"{REPORTS}/{folder}/{DISTRIBUTIONS}/{format_day(day)}.html", page)
        link = Link(
            "the distribution of each column at training and on this day", f"{DISTRIBUTIONS}/{format_day(day)}.html"
        )
        sections.append(Section("Distributions", table=Table(("page, drawn by Evidently",), [(link,)])))
    data = [column for column in outcome.columns if column.kind == "data"]
    tiles = [
        Tile("verdict", outcome.verdict, TONES[outcome.verdict]),
        Tile("columns drifted", f"{sum(column.drifted for column in data)} of {len(data)}" if data else "–"),
        Tile("rows at training", count(outcome.reference_rows)),
        Tile("rows on this day", count(outcome.current_rows)),
    ]
    if error := outcome.performance:
        label = f"{_readable(error.metric)} on {count(error.rows)} predictions, {error.expected:.3f} expected"
        tiles.append(Tile(label, f"{error.observed:.3f}", "bad" if error.column.drifted else "good"))
    return write_page(
        lake,
        f"{folder}/{format_day(day)}",
        f"Drift of {name}",
        f"The rows that version {version.version} was trained on, as of {trained}, compared with the rows as of "
        f"{format_day(day)}.",
        sections,
        tiles,
    )


def _decision(outcome: DriftOutcome, retrain: bool, reason: str, minimum: int) -> Section:
    sentences = [f"{'A training is requested' if retrain else 'No training is requested'}: {reason}."]
    if outcome.verdict == "too few rows":
        sentences.append(
            f"There are {count(outcome.reference_rows)} rows of the training and {count(outcome.current_rows)} of this "
            f"day, and a comparison needs at least {count(minimum)} of each. Drift can be neither found nor excluded."
        )
    return Section("Decision", sentences)


def _columns(outcome: DriftOutcome) -> Section:
    ordered = sorted(outcome.columns, key=lambda column: not column.drifted)
    return Section(
        "Column by column",
        [
            "The distance between the values at training and on this day. A column has drifted when its distance "
            "reaches the threshold, or when the share of missing values has changed by 10 percentage points or more."
        ],
        Table(
            (
                "column",
                "verdict",
                "distance",
                "threshold",
                "unit of the distance",
                "missing at training",
                "missing on this day",
            ),
            [_row(column) for column in ordered],
            frozenset({2, 3, 5, 6}),
            {"drifted": "bad"},
        ),
    )


def _row(column: ColumnDrift) -> tuple[str, ...]:
    has_values = column.kind != "performance"
    return (
        "prediction" if column.kind == "prediction" else _readable(column.column),
        "drifted" if column.drifted else "not drifted",
        "–" if column.score is None else f"{column.score:.3f}",
        f"{column.threshold:g}",
        UNITS.get(column.method, column.method),
        f"{100 * column.reference_missing:.0f} %" if has_values else "–",
        f"{100 * column.current_missing:.0f} %" if has_values else "–",
    )


def _with_way_back(outcome: DriftOutcome, href: str, name: str) -> bytes:
    """Evidently's page, with the verdict and a link to the drift page added at its top."""
    drifted = f" of {escape(', '.join(outcome.drifted))}" if outcome.drifted else ""
    banner = (
        '<p style="font: 1rem/1.5 sans-serif; margin: 0; padding: 1rem">'
        f'<a href="{escape(href)}" target="_blank" rel="noopener">Drift of {escape(name)}</a>: '
        f"{escape(outcome.verdict)}{drifted}.</p>"
    )
    return outcome.html.replace(b"<body>", b"<body>" + banner.encode(), 1)


def _readable(name: str) -> str:
    return name.replace("_", " ")
