"""The state of everything this morning, read from the lake and the registry: one line for each domain and model."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.dates import DAY, UNDATED, UNDATED_AS_OF, format_day, format_days
from pipeline.domains import DOMAINS
from pipeline.ingestion import ledger
from pipeline.ingestion.delivery_warnings import warnings_between
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.ingestion.missing_days import day_coverage
from pipeline.ingestion.number_style import number_style
from pipeline.ingestion.suites import reason_kind
from pipeline.lake import engine
from pipeline.lake.migrations import migrate
from pipeline.lake.tables import Lake
from pipeline.morning.deliveries import newest_arrivals, refused_deliveries
from pipeline.morning.models import checks_of, model_in_use, model_line
from pipeline.morning.state import DAYS, Figure, Line, Morning
from pipeline.registry.client import Registry
from pipeline.reports.phrasing import counted, written_in
from pipeline.reports.ways import WrittenPages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.reports.page import Link
    from pipeline.settings import Settings
    from pipeline.training.spec import Domain, Headline

PROMPT_DAYS = 2
"""A delivery that lands within so many days of its newest rows is one of a running shop, whose next one is awaited."""


def summarize(settings: Settings, now: datetime | None = None) -> Morning:
    """Read the state of everything.

    Args:
        settings: the settings.
        now: the time at which deliveries of the days before are awaited; by default the present.

    Raises:
        AisleError: if the registry or a table cannot be read.
    """
    now = now or datetime.now(UTC)
    lake = Lake(settings)
    migrate(lake)
    registry, pages = Registry(settings), WrittenPages(lake)
    scored = [day for domain in DOMAINS for day in lake.days(domain.results_table)[-1:]]
    day = max(scored, default=None)
    entries = ledger.entries(lake)
    lines, models = refused_deliveries(entries, pages), []
    for domain in DOMAINS:
        if not lake.exists(domain.input_table):
            continue
        with written_in(number_style(settings, domain.input_table)):
            unusual = _newest_unusual_delivery(lake, pages, domain)
            expected_until = _expected_until(lake, entries, domain.input_table, now.date())
            lines.append(_domain_line(settings, lake, registry, pages, domain, unusual, expected_until))
            for name in domain.model_names:
                champion = registry.champion(name)
                checks = checks_of(lake, champion) if champion else {}
                lines.append(model_line(lake, registry, pages, domain, name, champion, checks, unusual))
                if champion:
                    models.append(model_in_use(settings, lake, pages, champion, checks, day))
    return Morning(day, tuple(lines), tuple(newest_arrivals(entries, pages)), tuple(models), now)


def _expected_until(lake: Lake, entries: Sequence[LedgerEntry], table: str, today: date) -> date | None:
    """The day before which a table's rows should have come in by now; None where no delivery is awaited.

    That is so where history is loaded, or simulated: its rows are older than a night when they land.
    """
    landed = [entry.landed_at.date() for entry in entries if entry.table == table and entry.status is Status.COMMITTED]
    newest = lake.days(table)[-1]
    return today if landed and newest >= max(landed) - PROMPT_DAYS * DAY else None


def _newest_unusual_delivery(lake: Lake, pages: WrittenPages, domain: Domain) -> Link | None:
    scored = lake.days(domain.results_table)
    if not scored:
        return None
    warnings = warnings_between(lake, domain.input_table, scored[-1] - timedelta(days=DAYS), scored[-1])
    if not warnings:
        return None
    return pages.link("The newest unusual delivery", f"validation/{warnings[0].table}/{warnings[0].delivery}")


def _domain_line(
    settings: Settings,
    lake: Lake,
    registry: Registry,
    pages: WrittenPages,
    domain: Domain,
    unusual: Link | None,
    expected_until: date | None,
) -> Line:
    scored = lake.days(domain.results_table)
    if not scored:
        missing = [name for name in domain.required_models if registry.champion(name) is None]
        todo = f"aisle train {missing[0]}" if missing else f"aisle score {domain.name}"
        return Line(domain.name, "domain", "not scored", todo=todo, domain=domain.name)
    as_of = scored[-1]
    of_day = {day: pages.link("The page", f"{domain.name}/{format_day(day)}") for day in scored}
    verdicts = dict.fromkeys(scored, "well")
    news, todo, verdict = [], "", "well"
    warnings = warnings_between(lake, domain.input_table, as_of - timedelta(days=DAYS), as_of)
    for found in warnings:
        verdicts |= {day: "unusual data" for day in scored if found.first_day < day <= found.last_day + DAY}
    if warnings:
        verdict = "unusual data"
        # Of each kind the newest, with its figures.
        reasons = {reason_kind(reason): reason for found in reversed(warnings) for reason in found.reasons}
        deliveries = counted(len(warnings), "unusual delivery", "unusual deliveries")
        news.append(f"{deliveries} within {DAYS} days, the newest with rows of {format_day(warnings[0].last_day)}")
        news.extend(reasons.values())
        news.append(
            "if the source was wrong, ask it for a corrected file: it replaces the delivery when it is ingested"
        )
    until = max(as_of, expected_until or as_of)
    coverage = day_coverage(settings, domain.input_table, min(as_of, until) - timedelta(days=DAYS), until)
    if coverage and coverage.missing:
        first, last = coverage.missing[0], coverage.missing[-1]
        verdict = _verdict_of_missing(first, as_of, until) if verdict == "well" else verdict
        news.append(f"no rows of {format_days(coverage.missing)}")
        todo = f"aisle ingest {domain.input_table} --from {first} --until {last + DAY}"
    newest_input = lake.days(domain.input_table)[-1]
    if newest_input + DAY > as_of and newest_input != UNDATED:
        verdict, todo = "behind", f"aisle score {domain.name} --day {newest_input + DAY}"
        news.append(f"rows of {newest_input} have come in and are not scored yet")
    links = tuple(link for link in (of_day[as_of], unusual) if link)
    figures = _figures(settings, lake, domain, as_of)
    linked = {day: link for day, link in of_day.items() if link}
    return Line(domain.name, "domain", verdict, links, figures, tuple(news), todo, verdicts, linked, domain.name)


def _verdict_of_missing(first: date, as_of: date, until: date) -> str:
    """What it is called that there are no rows from a day on: they may still be on their way, as yesterday's are."""
    if first < as_of:
        return "unusual data"
    return "awaited" if first >= until - DAY else "no delivery"


def _figures(settings: Settings, lake: Lake, domain: Domain, as_of: date) -> tuple[Figure, ...]:
    """Compute a domain's headlines for each of the last days that have them."""
    con = engine.connect(settings)

    def values(headline: Headline) -> tuple[float, ...]:
        since = as_of if as_of == UNDATED_AS_OF else as_of - timedelta(days=DAYS)
        rows = engine.table(con, lake, headline.table, since=since, until=as_of + DAY).alias("headline_rows")
        query = f"SELECT as_of, {headline.expression} AS value FROM headline_rows GROUP BY as_of ORDER BY as_of"  # noqa: S608
        return tuple(value for value in con.to_pyarrow(rows.sql(query))["value"].to_pylist() if value is not None)

    found = ((headline, values(headline)) for headline in domain.headlines if lake.exists(headline.table))
    return tuple(
        Figure(headline.label, numbers, domain.input_table if headline.money else None)
        for headline, numbers in found
        if numbers
    )
