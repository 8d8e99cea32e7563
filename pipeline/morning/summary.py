"""The state of everything this morning, read from the lake and the registry: one line for each domain and model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from pipeline.dates import DAY, UNDATED, UNDATED_AS_OF, format_day, format_days
from pipeline.domains import DOMAINS
from pipeline.ingestion import ledger
from pipeline.ingestion.delivery_warnings import warnings_between
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.ingestion.missing_days import day_coverage
from pipeline.ingestion.suites import reason_kind
from pipeline.lake import engine
from pipeline.lake.migrations import migrate
from pipeline.lake.tables import Lake
from pipeline.morning.state import DAYS, ORDER, Arrival, Figure, Line, ModelInUse, Morning
from pipeline.registry.client import Registry
from pipeline.reports.page import Link
from pipeline.reports.phrasing import counted, listed, readable
from pipeline.training.monitored import DRIFT_TABLE

if TYPE_CHECKING:
    from pipeline.registry.records import ModelVersion
    from pipeline.settings import Settings
    from pipeline.training.spec import Domain, Headline

USUAL_DELIVERIES = 28
"""From how many deliveries before it the usual quarantined share is taken."""


def summarize(settings: Settings) -> Morning:
    """Read the state of everything.

    Raises:
        AisleError: if the registry or a table cannot be read.
    """
    lake = Lake(settings)
    migrate(lake)
    registry = Registry(settings)
    scored = [day for domain in DOMAINS for day in lake.days(domain.results_table)[-1:]]
    day = max(scored, default=None)
    entries = ledger.entries(lake)
    lines, models = [*_refused(entries)], []
    for domain in DOMAINS:
        if not lake.exists(domain.input_table):
            continue
        lines.append(_domain_line(settings, lake, registry, domain))
        for name in domain.model_names:
            champion = registry.champion(name)
            checks = _checks(lake, champion) if champion else {}
            lines.append(_model_line(lake, registry, name, champion, checks))
            if champion:
                models.append(_in_use(champion, checks, day))
    lines.sort(key=lambda line: ORDER.index(line.tone))
    return Morning(day, tuple(lines), tuple(_arrivals(entries)), tuple(models))


def _refused(entries: Sequence[LedgerEntry]) -> list[Line]:
    """A line for each delivery that was refused and has not come in since."""
    newest_of = {(entry.table, entry.delivery): entry for entry in entries}  # the last to land is the last to be kept
    newest = max((entry.landed_at for entry in entries), default=None)
    found = []
    for entry in newest_of.values():
        if entry.status is Status.REFUSED and newest and newest - entry.landed_at < timedelta(days=DAYS):
            link = Link("The delivery", f"validation/{entry.table}/{entry.delivery}.html")
            reason = str(entry.reason).splitlines()[0]
            todo = f"aisle ingest {entry.table} --all"
            subject = f"{entry.table}: {entry.delivery}"
            found.append(Line(subject, "delivery", "refused", (link,), news=(reason,), todo=todo))
    return found


def _domain_line(settings: Settings, lake: Lake, registry: Registry, domain: Domain) -> Line:
    scored = lake.days(domain.results_table)
    if not scored:
        missing = [name for name in domain.required_models if registry.champion(name) is None]
        todo = f"aisle train {missing[0]}" if missing else f"aisle score {domain.name}"
        return Line(domain.name, "domain", "not scored", todo=todo)
    as_of = scored[-1]
    links = [Link("The page", f"{domain.name}/{format_day(as_of)}.html")]
    verdicts = dict.fromkeys(scored, "well")
    news, todo, verdict = [], "", "well"
    warnings = warnings_between(lake, domain.input_table, as_of - timedelta(days=DAYS), as_of)
    for found in warnings:
        verdicts |= {day: "unusual data" for day in scored if found.first_day < day <= found.last_day + DAY}
    if warnings:
        verdict, newest = "unusual data", warnings[0]
        kinds = dict.fromkeys(reason_kind(reason) for found in reversed(warnings) for reason in found.reasons)
        deliveries = counted(len(warnings), "unusual delivery", "unusual deliveries")
        news.append(f"{deliveries} within {DAYS} days: {'; '.join(kinds)}")
        news.append(
            "if the source was wrong, ask it for a corrected file: it replaces the delivery when it is ingested"
        )
        links.append(Link("The newest unusual delivery", f"validation/{newest.table}/{newest.delivery}.html"))
    coverage = day_coverage(settings, domain.input_table, as_of - timedelta(days=DAYS), as_of)
    if coverage and coverage.missing:
        verdict, first = "unusual data", coverage.missing[0]
        news.append(f"no rows of {format_days(coverage.missing)}")
        todo = f"aisle ingest {domain.input_table} --from {first} --until {coverage.missing[-1] + DAY}"
    newest_input = lake.days(domain.input_table)[-1]
    if newest_input + DAY > as_of and newest_input != UNDATED:
        verdict, todo = "behind", f"aisle score {domain.name} --day {newest_input + DAY}"
        news.append(f"rows of {newest_input} have come in and are not scored yet")
    figures = _figures(settings, lake, domain, as_of)
    return Line(domain.name, "domain", verdict, tuple(links), figures, tuple(news), todo, verdicts)


def _figures(settings: Settings, lake: Lake, domain: Domain, as_of: date) -> tuple[Figure, ...]:
    """Compute a domain's headlines for each of the last days that have them."""
    con = engine.connect(settings)

    def values(headline: Headline) -> tuple[float, ...]:
        since = as_of if as_of == UNDATED_AS_OF else as_of - timedelta(days=DAYS)
        rows = engine.table(con, lake, headline.table, since=since, until=as_of + DAY).alias("headline_rows")
        query = f"SELECT as_of, {headline.expression} AS value FROM headline_rows GROUP BY as_of ORDER BY as_of"  # noqa: S608
        return tuple(value for value in con.to_pyarrow(rows.sql(query))["value"].to_pylist() if value is not None)

    found = ((headline.label, values(headline)) for headline in domain.headlines if lake.exists(headline.table))
    return tuple(Figure(label, numbers) for label, numbers in found if numbers)


def _checks(lake: Lake, champion: ModelVersion) -> dict[date, list[dict[str, Any]]]:
    """The drift checks of a champion: day -> a row for each column, oldest first."""
    if not lake.exists(DRIFT_TABLE):
        return {}
    by_day: dict[date, list[dict[str, Any]]] = {}
    for row in lake.read(DRIFT_TABLE, where={"model": [champion.name]}).to_pylist():
        if row["model_version"] == champion.version:
            by_day.setdefault(row["as_of"], []).append(row)
    return dict(sorted(by_day.items()))


def _model_line(
    lake: Lake,
    registry: Registry,
    name: str,
    champion: ModelVersion | None,
    checks: Mapping[date, list[dict[str, Any]]],
) -> Line:
    if champion is None:
        return Line(name, "model", "no champion", todo=f"aisle train {name}")
    news = _news(registry, champion)
    if not checks:
        return Line(name, "model", "not checked", news=news)
    newest = max(checks)
    drifted = {day: sum(row["drifted"] for row in rows) for day, rows in checks.items()}
    verdicts = {day: "drift" if number else "no drift" for day, number in drifted.items()}
    verdict, todo = verdicts[newest], ""
    if names := [readable(row["column"]) for row in checks[newest] if row["drifted"]]:
        news = (f"other values than at the training in {listed(names)}", *news)
    page = f"drift/{name}/{format_day(newest)}"
    result = lake.path("reports", f"{page}.json")
    if result.exists() and json.loads(result.read_text())["retrain"]:
        verdict, todo = "training due", f"aisle train {name}"
    figures = (Figure(f"drifted of {len(checks[newest])} compared", tuple(map(float, [*drifted.values()][-DAYS:]))),)
    return Line(name, "model", verdict, (Link("The check", f"{page}.html"),), figures, news, todo, verdicts)


def _news(registry: Registry, champion: ModelVersion) -> tuple[str, ...]:
    """Say how the champion came into use, and which newer version the gate refused."""
    news = [
        f"version {version.version} was refused by the gate: {'; '.join(version.decision.get('reasons', ()))}"
        for version in registry.versions(champion.name)
        if version.version > champion.version and version.accepted is False
    ]
    if history := [entry for entry in registry.history(champion.name) if entry.action != "refuse"]:
        last = history[-1]
        action = "was rolled back to" if last.action == "rollback" else "was promoted"
        news.append(f"version {last.version} {action} on {last.at:%Y-%m-%d}")
    return tuple(news)


def _in_use(champion: ModelVersion, checks: Mapping[date, list[dict[str, Any]]], day: date | None) -> ModelInUse:
    as_of = champion.provenance.as_of
    age = (day - as_of).days if day and as_of != UNDATED_AS_OF else None
    newest = checks[max(checks)] if checks else []
    ratios = [row["score"] for row in newest if row["kind"] == "performance"]
    return ModelInUse(champion.name, champion.version, as_of, age, ratios[0] if ratios else None)


def _arrivals(entries: Sequence[LedgerEntry]) -> list[Arrival]:
    """The newest committed delivery of each table, by table."""
    found = []
    for table in sorted({entry.table for entry in entries}):
        committed = [e for e in entries if e.table == table and e.status is Status.COMMITTED and e.corrects is None]
        if committed:
            newest = committed[-1]
            before = [e.quarantined / e.read for e in committed[:-1] if e.read][-USUAL_DELIVERIES:]
            recent = sum(newest.landed_at - e.landed_at < timedelta(days=DAYS) for e in committed)
            found.append(Arrival(newest, recent, median(before) if before else None))
    return found
