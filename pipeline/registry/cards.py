"""What MLflow's own pages show of a training and of a gate's decision: names, descriptions in Markdown, and pages.

Nothing here decides anything: the registry's tags are what counts, and a run without its cards is a run all the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.dates import UNDATED_AS_OF, format_day
from pipeline.redaction import redact
from pipeline.reports.labels import exact, metric_of
from pipeline.reports.page import Section, Table, Tile, render_page
from pipeline.reports.phrasing import MISSING, counted, readable

if TYPE_CHECKING:
    from pipeline.registry.records import Evidence, Provenance

UNDATED = format_day(UNDATED_AS_OF)
MAX_CHARACTERS = 4_900
"""Of a description; MLflow's tables hold 5,000."""
MAX_ROWS, MAX_COLUMNS = 15, 8
CardTable: TypeAlias = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""Caption, columns and rows."""
TRAINING_FILES, DECISION_FILES = ("training.md", "training.html"), ("decision.md", "decision.html")
"""Artefacts of a run: what was trained and chosen, and what the gate decided."""


@dataclass(frozen=True)
class Card:
    """A heading, sentences and tables that become Markdown and a page; a table has a caption, columns and rows."""

    title: str
    sentences: Sequence[str]
    tables: Sequence[CardTable]

    def markdown(self) -> str:
        """As Markdown of at most `MAX_CHARACTERS`; text that was given stays text."""
        parts = [f"## {_plain(self.title)}", *map(_plain, self.sentences)]
        for caption, columns, rows in self.tables:
            lines = [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in (columns, *rows)]
            lines.insert(1, "|" + " --- |" * len(columns))
            parts.append("\n".join([f"**{_plain(caption)}**", "", *lines]))
        text = ""
        for part in parts:
            if len(text) + len(part) > MAX_CHARACTERS:
                return text + "\n\n…"
            text += ("\n\n" if text else "") + part
        return text

    def page(self, subtitle: str, tiles: Sequence[Tile] = ()) -> str:
        """As an HTML page."""
        sections = [
            Section(caption, table=Table(columns, rows, _numeric(rows))) for caption, columns, rows in self.tables
        ]
        return render_page(self.title, subtitle, [Section("In short", self.sentences), *sections], tiles)


def run_name(model: str, provenance: Provenance, params: Mapping[str, str]) -> str:
    """The name of a training's run: "store_sales gradient boosting, as of 2026-01-04"."""
    kind = params.get("candidate", "")
    of_kind = f" {readable(kind)}" if kind else f" with {params['k']} segments" if "k" in params else ""
    day = format_day(provenance.as_of)
    return f"{model}{of_kind}, {'undated data' if day == UNDATED else f'as of {day}'}"


def training_card(
    model: str,
    provenance: Provenance,
    metrics: Mapping[str, float],
    params: Mapping[str, str],
    evidence: Evidence,
) -> Card:
    """What was trained on what, how well it did, and what it was chosen among."""
    known = "undated data" if (day := format_day(provenance.as_of)) == UNDATED else f"what was known before {day}"
    sentences = [
        *([f"{evidence.reason[:1].upper()}{evidence.reason[1:]}."] if evidence.reason else []),
        f"Trained on {known}, with seed {provenance.seed} and code {provenance.code}, "
        f"on {counted(len(provenance.features), 'feature')}.",
    ]
    measured = [(metric_of(name).text, _figure(name, value)) for name, value in metrics.items()]
    tables: list[CardTable] = [
        ("Data", ("Delta table", "version"), [(name, str(version)) for name, version in provenance.tables.items()]),
        ("Metrics", ("metric", "value"), measured),
        ("Choice", *_grid("candidate", evidence.candidates)),
        ("Folds", *_grid("fold", evidence.folds)),
        ("Parameters", ("parameter", "value"), list(params.items())),
    ]
    filled = [(caption, columns, rows[:MAX_ROWS]) for caption, columns, rows in tables if rows]
    return Card(run_name(model, provenance, params), sentences, filled)


def decision_card(model: str, version: int, figures: Mapping[str, Any], *, accepted: bool) -> Card:
    """A gate's decision: each rule with what it asked and saw, and the metrics of those that were compared.

    Args:
        figures: those of `pipeline.training.gate.Decision`; what is missing is left out.
    """
    window = figures.get("window")
    measured = (
        f"Measured on {window['table']}, version {window['version']}, as of {window['as_of']}. " if window else ""
    )
    reasons = "; ".join(figures.get("reasons", ()))
    verdicts = [
        (
            "passed" if verdict["passed"] else "failed",
            metric_of(verdict["metric"]).text,
            exact(verdict["metric"], seen)
            if isinstance(seen := verdict["observed"], int | float)
            else str(seen or "not measured"),
            str(verdict["allowed"]),
        )
        for verdict in figures.get("verdicts", ())
    ]
    compared = {who: figures[who] for who in ("challenger", "champion", "baseline") if figures.get(who)}
    metrics = dict.fromkeys(name for values in compared.values() for name in values)
    values = [
        (metric_of(name).text, *(_figure(name, values.get(name)) for values in compared.values())) for name in metrics
    ]
    tables: list[CardTable] = [
        ("Rules", ("rule", "metric", "value", "required"), verdicts),
        ("Compared", ("metric", *compared), values),
    ]
    return Card(
        f"The gate {'accepted' if accepted else 'refused'} {model} version {version}",
        [sentence for sentence in (measured, f"Why: {reasons}." if reasons else "") if sentence],
        [(caption, columns, rows[:MAX_ROWS]) for caption, columns, rows in tables if rows],
    )


def files_of(card: Card, names: Sequence[str], subtitle: str) -> dict[str, str]:
    """The files of a card: name -> content."""
    markdown, page = names
    return {markdown: card.markdown(), page: card.page(subtitle)}


def _grid(heading: str, rows: Mapping[str, Mapping[str, float | None]]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """The columns and rows of a table with a line for each name and a column for each metric."""
    columns = list(dict.fromkeys(name for metrics in rows.values() for name in metrics))[:MAX_COLUMNS]
    return (heading, *(metric_of(name).text for name in columns)), [
        (readable(row), *(_figure(name, metrics.get(name)) for name in columns)) for row, metrics in rows.items()
    ]


def _numeric(rows: Sequence[Sequence[str]]) -> frozenset[int]:
    """The positions of columns of numbers."""
    columns = zip(*rows, strict=True)
    return frozenset(
        at for at, cells in enumerate(columns) if all(re.match(rf"[-\d{MISSING}]", cell) for cell in cells)
    )


def _figure(metric: str, value: float | None) -> str:
    return MISSING if value is None or not math.isfinite(value) else exact(metric, value)


def _plain(text: str) -> str:
    """Text that Markdown and HTML leave as it is, in one line."""
    one_line = " ".join(redact(text).split())
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
