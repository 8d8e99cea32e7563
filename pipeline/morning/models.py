"""Models on the morning page: the newest check of each, and the champions in use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from pipeline.dates import UNDATED_AS_OF, format_day
from pipeline.morning.state import DAYS, Figure, Line, ModelInUse, SeenError
from pipeline.registry.addresses import version_address
from pipeline.reports.page import REPORTS, Link
from pipeline.training.monitored import DRIFT_TABLE
from pipeline.training.page_warnings import then_and_now

if TYPE_CHECKING:
    from pipeline.lake.tables import Lake
    from pipeline.registry.client import Registry
    from pipeline.registry.records import ModelVersion
    from pipeline.reports.ways import WrittenPages
    from pipeline.settings import Settings
    from pipeline.training.spec import Domain

Checks = Mapping[date, list[dict[str, Any]]]
"""The drift checks of a champion: day -> a row for each column, oldest first."""


def checks_of(lake: Lake, champion: ModelVersion) -> Checks:
    """Read the drift checks of a champion."""
    if not lake.exists(DRIFT_TABLE):
        return {}
    by_day: dict[date, list[dict[str, Any]]] = {}
    for row in lake.read(DRIFT_TABLE, where={"model": [champion.name]}).to_pylist():
        if row["model_version"] == champion.version:
            by_day.setdefault(row["as_of"], []).append(row)
    return dict(sorted(by_day.items()))


def model_line(
    lake: Lake,
    registry: Registry,
    pages: WrittenPages,
    domain: Domain,
    name: str,
    champion: ModelVersion | None,
    checks: Checks,
    unusual: Link | None,
) -> Line:
    """Return the line of a model.

    Args:
        lake: where the results of the checks are.
        registry: says how the champion came into use.
        pages: the pages that can be linked.
        domain: the model's.
        name: the model's.
        champion: the version in use, if any.
        checks: of the champion.
        unusual: the newest unusual delivery to the domain, which may be the cause of a drift.
    """
    if champion is None:
        return Line(name, "model", "no champion", todo=f"aisle train {name}", domain=domain.name)
    news = _news(registry, champion)
    if not checks:
        return Line(name, "model", "not checked", news=news, domain=domain.name)
    newest = max(checks)
    drifted = {day: sum(row["drifted"] for row in rows) for day, rows in checks.items()}
    verdicts = {day: "drift" if number else "no drift" for day, number in drifted.items()}
    of_day = {day: link for day in checks if (link := pages.link("The check", f"drift/{name}/{format_day(day)}"))}
    links, todo, verdict = [of_day[newest]] if newest in of_day else [], "", verdicts[newest]
    labels = domain.labels()
    if names := [then_and_now(row, labels) for row in checks[newest] if row["drifted"]]:
        if unusual:
            news = ("the rows come from unusual deliveries: look at these before the model", *news)
            links.append(unusual)
        news = (f"other values than at the training: {'; '.join(names)}", *news)
    if _result(lake, name, newest).get("retrain"):
        verdict, todo = "training due", f"aisle train {name}"
    counts = tuple(map(float, [*drifted.values()][-DAYS:]))
    figures = (Figure(f"of {len(checks[newest])} columns drifted", counts),)
    return Line(name, "model", verdict, tuple(links), figures, news, todo, verdicts, of_day, domain.name)


def model_in_use(
    settings: Settings,
    lake: Lake,
    pages: WrittenPages,
    champion: ModelVersion,
    checks: Checks,
    day: date | None,
) -> ModelInUse:
    """Describe a champion: its age on the newest scored day, and its error since the training."""
    as_of, name = champion.provenance.as_of, champion.name
    age = (day - as_of).days if day and as_of != UNDATED_AS_OF else None
    check, error = None, None
    if checks:
        newest = max(checks)
        check = pages.link(format_day(newest), f"drift/{name}/{format_day(newest)}")
        if found := _result(lake, name, newest).get("performance"):
            error = SeenError(found["metric"], found["expected"], found["observed"], found["rows"])
    address = version_address(settings, name, champion.version)
    registered = Link(f"{champion.version} in MLflow", address) if address else None
    return ModelInUse(name, champion.version, as_of, age, error, check, registered)


def _result(lake: Lake, model: str, day: date) -> Mapping[str, Any]:
    """The result of a check as it is stored beside its page; empty if it has been removed because of its age."""
    file = lake.path(REPORTS, "drift", model, f"{format_day(day)}.json")
    result: Mapping[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return result


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
