"""Printing: one JSON object or text and tables on standard output, errors on standard error."""

from __future__ import annotations

import json
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from pipeline.dates import format_day
from pipeline.domains import domain_of
from pipeline.errors import AisleError
from pipeline.redaction import redact
from pipeline.reports.labels import column_text, exact, metric_of

if TYPE_CHECKING:
    # MLflow takes seconds to import, so only the commands that read the registry import it.
    from pipeline.monitoring.watch import DriftResult
    from pipeline.registry.records import ModelSummary
    from pipeline.settings import Settings

UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udfff]")
"""Characters that a terminal obeys instead of showing them."""


class PlainConsole(Console):
    """A console to which all text is text: names of a source may hold `[red]`, `:x:` or control characters."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text as it is, also as the cell of a table."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})


def printable(text: str) -> str:
    """Write the characters that a terminal would obey as Python does: `\\x1b`."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


out, err = PlainConsole(), PlainConsole(stderr=True)
_before_printing: list[Callable[[], None]] = []


@contextmanager
def on_print(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` before anything is printed within the block; it may be called more than once."""
    _before_printing.append(end)
    try:
        yield
    finally:
        _before_printing.remove(end)


def _make_room() -> None:
    """Remove from the terminal what would stand in the way of what is printed."""
    for end in _before_printing:
        end()


def print_result(result: dict[str, Any], as_json: bool, shown: object) -> None:
    """Print the result of a command.

    Args:
        result: what `--json` prints.
        as_json: whether to print `result` as JSON instead of `shown`.
        shown: text or a rich table.
    """
    _make_room()
    if as_json:
        typer.echo(json.dumps(result, default=_to_json))
    elif isinstance(shown, Table):
        # A table that does not fit is printed wider than the terminal instead of with broken or cut numbers.
        PlainConsole(width=max(out.width, _least_width(shown))).print(shown, highlight=False)
    else:
        _print_text(out, shown)


def _least_width(table: Table) -> int:
    """The columns that a table needs so that nothing is cut: what may be wrapped is, between its words."""
    options, width = out.options.update(max_width=10_000), 1
    for column in table.columns:
        cells = [Measurement.get(out, options, cell) for cell in (column.header, *column.cells)]
        # Rich reckons with wrapped headings and cells even where wrapping is off. Padding and a border make three.
        width += 3 + max(cell.maximum if column.no_wrap else cell.minimum for cell in cells)
    return width


def number(header: str) -> Column:
    """A column of numbers: aligned to the right, and never broken over two lines."""
    return Column(header, justify="right", no_wrap=True)


def write_morning_page(settings: Settings) -> None:
    """Write the morning page. What the command did stays done if that fails, so a failure is only a warning."""
    from pipeline.morning import page

    try:
        page.write_morning_page(settings)
    except AisleError as error:
        print_error("warning", f"the morning page was not written: {error}")


@contextmanager
def interruptible(done: list[str] | None = None) -> Iterator[None]:
    """End a command that Ctrl-C interrupts with exit code 130, and say what was done until then.

    Args:
        done: what has been done, which the command keeps up to date; None if it has only one step.
    """
    try:
        yield
    except KeyboardInterrupt:
        text = "what was under way is not saved\n  do next: run the command again"
        if done is not None:
            text = f"done: {', '.join(done) or 'nothing'}\n  not done: the rest; {text}"
        print_error("interrupted", text)
        raise typer.Exit(130) from None


def print_error(label: str, message: object) -> None:
    """Print `label: message` on standard error, without the passwords of addresses."""
    _make_room()
    err.print(f"{label}:", style="bold red", highlight=False, end=" ")
    _print_text(err, redact(message), len(label) + 2)


def _print_text(console: Console, text: object, column: int = 0) -> None:
    """Print text, on a terminal wrapped between words.

    A line with a command stays one line, however long, so that it can be copied; so do the lines for files and pipes.

    Args:
        console: where to.
        text: what.
        column: how much is already on the line.
    """
    for line in str(text).split("\n"):
        if console.is_terminal and "aisle " not in line and "do next:" not in line:
            line = _wrapped(printable(line), console.width, column)
        console.print(line, highlight=False, soft_wrap=True)
        column = 0


def _wrapped(line: str, width: int, column: int) -> str:
    """A line broken between its words, each part as far from the left as the line; a longer word stays whole."""
    indent = " " * (len(line) - len(line.lstrip()))
    filled = textwrap.fill(
        line.strip(),
        max(width, 20),
        initial_indent=" " * column + indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled[column:]


def seconds_since(start: float) -> float:
    """Seconds since a reading of `time.monotonic()`, to a hundredth."""
    return round(time.monotonic() - start, 2)


def model_as_dict(summary: ModelSummary) -> dict[str, Any]:
    """A registered model as `aisle models --json` shows it."""
    champion, last = summary.champion, summary.last
    return {
        "model": summary.name,
        "champion": champion.version if champion else None,
        "challenger": summary.challenger.version if summary.challenger else None,
        "versions": summary.versions,
        "as_of": champion.provenance.as_of if champion else None,
        "tables": dict(champion.provenance.tables) if champion else {},
        "metrics": dict(champion.metrics) if champion else {},
        "last": {**vars(last), "figures": dict(last.figures)} if last else None,
    }


def model_text(summary: ModelSummary) -> str:
    """A registered model as `aisle models` shows it."""
    champion, challenger, last = summary.champion, summary.challenger, summary.last
    lines = [f"{summary.name}, {summary.versions} version{'s' if summary.versions > 1 else ''}"]
    if champion:
        known = ((metric_of(name), value) for name, value in champion.metrics.items() if value is not None)
        metrics = ", ".join(f"{metric.text} {metric.value(value)}" for metric, value in known)
        as_of = format_day(champion.provenance.as_of)
        lines.append(f"champion: version {champion.version}, trained as of {as_of}; {metrics}")
    if challenger:
        as_of = format_day(challenger.provenance.as_of)
        lines.append(f"challenger: version {challenger.version}, trained as of {as_of}")
    if last:
        lines.append(
            f"last decision: {last.action} of version {last.version} by {last.by}, {last.at:%Y-%m-%d %H:%M} UTC"
        )
        lines += [f"  {reason}" for reason in last.reason.split("; ")]
    return "\n  ".join(lines)


def drift_text(result: DriftResult) -> str:
    """The comparison of a champion with a day, as `aisle watch` shows it."""
    version = f" version {result.model_version}" if result.model_version else ""
    decision = "training is due because" if result.retrain else "no training is due:"
    lines = [
        f"{result.model}{version}, as of {format_day(result.day)}: {result.verdict}",
        f"{decision} {result.reason}",
    ]
    if result.drifted:
        labels = domain_of(result.model).labels()
        lines.append(f"drifted: {', '.join(column_text(labels, name) for name in result.drifted)}")
    return "\n  ".join(lines)


def backtest_table(candidates: dict[str, Any]) -> Table:
    """A backtest of several candidates: each fold of each where that fits the terminal, else the means side by side."""
    folds = _folds_table(candidates)
    if not out.is_terminal or _least_width(folds) <= out.width:
        return folds
    (metrics,) = {tuple(result["mean"]) for result in candidates.values()}
    # A name has a blank where its heading may be broken.
    table = Table("mean", *(Column(name.replace("_", " "), justify="right") for name in candidates))
    for metric in metrics:
        table.add_row(metric, *(f"{result['mean'][metric]:.4g}" for result in candidates.values()))
    table.caption = "each fold: a wider terminal, or --json"
    return table


def _folds_table(candidates: dict[str, Any]) -> Table:
    """One row for each fold of a candidate, then its mean."""
    (metrics,) = {tuple(result["mean"]) for result in candidates.values()}
    columns = (number(name) for name in (*metrics, "fit s", "predict s", "peak MB"))
    table = Table(Column("model", no_wrap=True), Column("days", no_wrap=True), *columns)
    for candidate, result in candidates.items():
        for fold in result["folds"]:
            seconds = (f"{fold['seconds'][step]:.1f}" for step in ("fit", "predict"))
            values = (exact(name, fold["metrics"][name]) for name in metrics)
            table.add_row(candidate, f"{fold['from']}..{fold['to']}", *values, *seconds, f"{fold['peak_mb']:.0f}")
        table.add_row(candidate, "mean", *(exact(*pair) for pair in result["mean"].items()), end_section=True)
    return table


def _to_json(value: object) -> object:
    return format_day(value) if isinstance(value, date | datetime) else str(value)
