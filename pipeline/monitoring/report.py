"""The drift page of a model: whether it still sees the world it was trained on, column by column."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from pipeline.dates import format_day
from pipeline.lake.tables import Lake
from pipeline.reports.page import REPORTS, Link, Section, Table, Tile, Tone, write_page
from pipeline.reports.phrasing import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.monitoring.drift import DriftOutcome, DriftStatus
    from pipeline.registry.records import ModelVersion
    from pipeline.training.monitored import ColumnDrift

SAID = "what the model says"
TONES: Mapping[DriftStatus, Tone] = {
    "drift": "bad",
    "no drift": "good",
    "too few rows": "wait",
    "nothing to compare yet": "wait",
}
METHODS = {
    "wasserstein": "standard deviations",
    "jensenshannon": "Jensen-Shannon",
    "ratio": "times the expected",
}


def write_drift_page(
    lake: Lake, version: ModelVersion, outcome: DriftOutcome, *, day: date, retrain: bool, reason: str, minimum: int
) -> str:
    """Write the page, and Evidently's with the distributions beside it; its path below home.

    Args:
        retrain, reason: what was decided.
        minimum: rows that a comparison needs on either side.
    """
    folder = f"drift/{version.name}"
    sections = [_what_follows(outcome, retrain, reason, minimum)]
    if outcome.columns:
        sections.append(_columns(outcome))
    if outcome.html:
        lake.write_blob(f"{REPORTS}/{folder}/distributions/{format_day(day)}.html", outcome.html)
        link = Link("the distributions of each column, then and now", f"distributions/{format_day(day)}.html")
        sections.append(Section("In pictures", table=Table(("page, by Evidently",), [(link,)])))
    data = [column for column in outcome.columns if column.kind == "data"]
    tiles = [
        Tile("verdict", outcome.verdict, TONES[outcome.verdict]),
        Tile("columns drifted", f"{sum(column.drifted for column in data)} of {len(data)}" if data else "–"),
        Tile("rows then", count(outcome.reference_rows)),
        Tile("rows now", count(outcome.current_rows)),
    ]
    if error := outcome.performance:
        label = f"{_spoken(error.metric)} on {count(error.rows)} predictions, {error.expected:.3f} expected"
        tiles.append(Tile(label, f"{error.observed:.3f}", "bad" if error.column.drifted else "good"))
    return write_page(
        lake,
        f"{folder}/{format_day(day)}",
        f"Drift of {_spoken(version.name)}",
        f"As of {format_day(day)}: what version {version.version}, trained as of "
        f"{format_day(version.provenance.as_of)}, was made from, and what it meets now.",
        sections,
        tiles,
    )


def _what_follows(outcome: DriftOutcome, retrain: bool, reason: str, minimum: int) -> Section:
    sentences = [f"{'A training is asked for' if retrain else 'No training is asked for'}: {reason}."]
    if min(outcome.reference_rows, outcome.current_rows) < minimum:
        sentences.append(
            f"{count(outcome.reference_rows)} rows then and {count(outcome.current_rows)} now say nothing for sure: "
            f"at least {count(minimum)} are needed on either side. That is no sign that all is well."
        )
    return Section("What follows", sentences)


def _columns(outcome: DriftOutcome) -> Section:
    ordered = sorted(outcome.columns, key=lambda column: not column.drifted)
    return Section(
        "Column by column",
        [
            "How far now is from then. A column has drifted from its threshold on, or when a tenth more or less of its "
            "values is missing."
        ],
        Table(
            ("column", "verdict", "distance", "threshold", "measured in", "missing then", "missing now"),
            [_row(column) for column in ordered],
            frozenset({2, 3, 5, 6}),
            {"drifted": "bad"},
        ),
    )


def _row(column: ColumnDrift) -> tuple[str, ...]:
    known = column.kind != "performance"
    return (
        SAID if column.kind == "prediction" else _spoken(column.column),
        "drifted" if column.drifted else "as it was",
        "–" if column.score is None else f"{column.score:.3f}",
        f"{column.threshold:g}",
        METHODS.get(column.method, column.method),
        f"{100 * column.reference_missing:.0f} %" if known else "–",
        f"{100 * column.current_missing:.0f} %" if known else "–",
    )


def _spoken(name: str) -> str:
    return name.replace("_", " ")
