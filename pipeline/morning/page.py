"""Write the morning page (`reports/index.html`) and the list of all pages beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.dates import format_day
from pipeline.domains import DOMAINS
from pipeline.ingestion.number_style import number_style
from pipeline.lake.tables import Lake
from pipeline.morning.state import DAYS, TONES, Arrival, Line, Morning, SeenError
from pipeline.morning.summary import summarize
from pipeline.reports.index import write_all_pages
from pipeline.reports.labels import metric_of
from pipeline.reports.page import Place, Section, Table, Tile, Tone, render_page, store_page
from pipeline.reports.phrasing import MISSING, count, counted, percent, readable, written_in
from pipeline.reports.templates import html_template
from pipeline.reports.ways import Related

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.settings import Settings


CELLS = {"bad": "✕", "wait": "…", "good": "✓"}
"""How a day looks in the grid, for those who do not see its colour."""


def write_morning_page(settings: Settings) -> str:
    """Write the morning page and the list of all pages, each completely or not at all.

    Returns:
        The morning page's path below home.

    Raises:
        AisleError: if the registry or a table cannot be read.
    """
    lake = Lake(settings)
    with written_in(number_style(settings)):
        morning = summarize(settings)
        html = render_morning_page(morning)
    path = store_page(lake, place_of(morning), html, plotly=False)
    write_all_pages(lake)
    return path


def place_of(morning: Morning) -> Place:
    """Where the morning page is, with the pages on which it can search."""
    scored = {line.domain for line in morning.lines if line.kind == "domain" and line.pages}
    searched = (domain for domain in DOMAINS if domain.search and domain.name in scored)
    return Place(
        "index", tuple(Related(domain.name.capitalize(), domain.name, search=domain.search) for domain in searched)
    )


def render_morning_page(morning: Morning) -> str:
    """Return the morning page as HTML."""
    wrong = [line for line in morning.urgent_first if line.tone == "bad"]
    first = Section("What to look at first", markup=_lines(wrong)) if wrong else None
    others = morning.not_urgent
    sections = [
        first or Section("What to look at first", ["Nothing is wrong."]),
        *([Section("Everything else", markup=_lines(others))] if others else []),
        *([_arrivals(morning.arrivals)] if morning.arrivals else []),
        *([_models(morning)] if morning.models else []),
        *([_grid(morning)] if morning.day else []),
    ]
    day = f"The state as of {format_day(morning.day)}" if morning.day else "Nothing is scored yet"
    subtitle = f"{day}, from the tables of the lake and the registry, written on {morning.written:%Y-%m-%d %H:%M} UTC."
    return render_page("This morning", subtitle, sections, _tiles(morning), place=place_of(morning))


def _tiles(morning: Morning) -> list[Tile]:
    wrong = sum(line.tone == "bad" for line in morning.lines)
    waiting = sum(line.tone == "wait" for line in morning.lines)
    rows = sum(arrival.entry.read for arrival in morning.arrivals)
    return [
        Tile("to look at", count(wrong), "bad" if wrong else "good"),
        Tile("not there yet", count(waiting), "wait" if waiting else ""),
        Tile("rows in the newest deliveries", count(rows)),
        Tile("model in use" if len(morning.models) == 1 else "models in use", count(len(morning.models))),
    ]


def _lines(lines: Sequence[Line]) -> str:
    return html_template("pipeline.morning", "lines.html").render(lines=lines, sparkline=_sparkline)


def _sparkline(values: Sequence[float], width: int = 84, height: int = 20) -> str:
    """Return the points of a line from the lower left to the upper right of a small picture, as SVG writes them."""
    low, high = min(values), max(values)
    step = (width - 4) / max(len(values) - 1, 1)
    scale = (height - 4) / (high - low) if high > low else 0.0
    points = ((2 + n * step, height - 2 - (value - low) * scale) for n, value in enumerate(values))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _arrivals(arrivals: Sequence[Arrival]) -> Section:
    rows = [
        (
            readable(arrival.entry.table),
            arrival.page or arrival.entry.delivery,
            f"{arrival.entry.landed_at:%Y-%m-%d %H:%M}",
            count(arrival.entry.read),
            _share(arrival),
            count(arrival.recent),
            count(arrival.recent_rows),
            percent(arrival.recent_quarantined / arrival.recent_rows) if arrival.recent_rows else MISSING,
        )
        for arrival in arrivals
    ]
    unusual = [arrival for arrival in arrivals if arrival.is_unusual]
    tones: dict[str, Tone] = {_share(arrival): "bad" for arrival in unusual}
    columns = (
        *("table", "newest delivery", "landed, UTC", "rows", "of these in quarantine"),
        *(f"deliveries in {DAYS} days", "their rows", "of these in quarantine"),
    )
    return Section("What came in", table=Table(columns, rows, frozenset({2, 3, 5, 6, 7}), tones))


def _share(arrival: Arrival) -> str:
    text = percent(arrival.share)
    usual = arrival.usual_share
    return text if usual is None or usual == arrival.share == 0 else f"{text} (usually {percent(usual)})"


def _models(morning: Morning) -> Section:
    rows = [
        (
            readable(model.name),
            model.registered or str(model.version),
            format_day(model.as_of),
            MISSING if model.age is None else counted(model.age, "day"),
            *_error(model.error),
            model.check or MISSING,
        )
        for model in morning.models
    ]
    columns = (
        *("model", "version", "trained as of", "age", "error", "promised", "seen since", "on predictions"),
        "newest check",
    )
    return Section("Models in use", table=Table(columns, rows, frozenset({3, 5, 6, 7})))


def _error(error: SeenError | None) -> tuple[str, ...]:
    """The cells of the error of a model: its name, the promised one, that seen since, and on how many predictions."""
    if error is None:
        return (MISSING,) * 4
    metric = metric_of(error.metric)
    return (metric.text, metric.value(error.promised), metric.value(error.seen), count(error.predictions))


def _grid(morning: Morning) -> Section:
    """A row for each domain and each of its models, a column for each of the last days, the newest first."""
    lines = [line for line in morning.lines if line.kind != "delivery"]
    legend = (
        f"{CELLS['bad']} something to look at, {CELLS['good']} as it should be, empty: nothing was done that day. "
        "A mark leads to the page of the day."
    )
    template = html_template("pipeline.morning", "grid.html")
    markup = template.render(lines=lines, days=morning.days, cells=CELLS, tones=TONES)
    return Section(f"The last {DAYS} days", [legend], markup=markup)
