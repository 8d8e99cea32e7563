"""What the readers of a domain's page must know first: unusual deliveries, days without rows, and drift."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.dates import UNDATED, format_day, format_days
from pipeline.ingestion.delivery_warnings import DeliveryWarnings, warnings_between
from pipeline.ingestion.missing_days import day_coverage
from pipeline.ingestion.suites import reason_kind
from pipeline.lake.migrations import migrate
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.reports.labels import ASKED, column_text, label_of
from pipeline.reports.page import Notice
from pipeline.reports.phrasing import counted
from pipeline.reports.ways import WrittenPages
from pipeline.training.monitored import DRIFT_TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from pipeline.registry.records import ModelVersion
    from pipeline.reports.labels import Label
    from pipeline.settings import Settings
    from pipeline.training.spec import Domain

MAX_COLUMNS = 4


def page_warnings(settings: Settings, domain: Domain, as_of: date) -> list[Notice]:
    """Return the warnings for the top of a domain's page, with links that are relative to `reports/<domain>/`.

    These are the warnings of deliveries to the domain's input table with rows in the `window_days` before the as-of
    day, the days among these without rows, and the newest drift check up to that day of each champion, if it found
    drift.
    """
    lake = Lake(settings)
    migrate(lake)
    since = as_of - timedelta(days=settings.window_days)
    deliveries = warnings_between(lake, domain.input_table, since, as_of)
    notices = [_of_deliveries(lake, deliveries, since, as_of)] if deliveries else []
    coverage = day_coverage(settings, domain.input_table, since, as_of)
    if coverage and coverage.missing:
        notices.append(_of_missing_days(domain.input_table, coverage.missing))
    registry = Registry(settings)
    champions = [version for name in domain.model_names if (version := registry.champion(name))]
    labels = domain.labels()
    return notices + [notice for version in champions if (notice := _of_drift(lake, version, as_of, labels))]


def _of_deliveries(lake: Lake, deliveries: Sequence[DeliveryWarnings], since: date, as_of: date) -> Notice:
    """Describe unusual deliveries in one sentence; the observed values are on the page of each delivery."""
    days = {
        day
        for found in deliveries
        for number in range((found.last_day - found.first_day).days + 1)
        if since <= (day := found.first_day + timedelta(days=number)) < as_of
    }
    of_days = "" if UNDATED in days else f", with rows of {format_days(days)}"
    kinds = dict.fromkeys(reason_kind(reason) for found in reversed(deliveries) for reason in found.reasons)
    table, newest = deliveries[0].table, deliveries[0].delivery
    count = counted(len(deliveries), "unusual delivery", "unusual deliveries")
    folder, text = f"validation/{table}", "The delivery" if len(deliveries) == 1 else "The newest of them"
    return Notice(
        f"This page builds on {count} to {table}{of_days}: {'; '.join(kinds)}.",
        WrittenPages(lake, folder).link(text, f"{folder}/{newest}", root="../"),
    )


def _of_missing_days(table: str, missing: Sequence[date]) -> Notice:
    return Notice(
        f"This page lacks {counted(len(missing), 'day')}: {table} has no rows of {format_days(missing)}. Ask the "
        "source for them; days on which the shop is closed belong below closed_on in sources.yaml."
    )


def _of_drift(lake: Lake, champion: ModelVersion, as_of: date, labels: Mapping[str, Label]) -> Notice | None:
    """Describe the drift that a champion's newest check found; None if it found none or there was no check."""
    if not lake.exists(DRIFT_TABLE):
        return None
    rows: list[dict[str, Any]] = lake.read(DRIFT_TABLE, where={"model": [champion.name]}).to_pylist()
    rows = [row for row in rows if row["model_version"] == champion.version and row["as_of"] <= as_of]
    newest = max((row["as_of"] for row in rows), default=as_of)
    # A column can be compared twice: in the table, and in the requests to the prediction service.
    drifted = {row["column"]: row for row in rows if row["as_of"] == newest and row["drifted"]}
    if not drifted:
        return None
    folder = f"drift/{champion.name}"
    names = [then_and_now(row, labels) for row in list(drifted.values())[:MAX_COLUMNS]]
    if len(drifted) > MAX_COLUMNS:
        names.append(counted(len(drifted) - MAX_COLUMNS, "more column"))
    return Notice(
        f"The data has drifted since {champion.name} version {champion.version} was trained: the check as of "
        f"{format_day(newest)} found other values: {'; '.join(names)}. Results of this model may be wrong.",
        WrittenPages(lake, folder).link("The check", f"{folder}/{format_day(newest)}", root="../"),
    )


def then_and_now(row: Mapping[str, Any], labels: Mapping[str, Label]) -> str:
    """Describe a row of the drift table in words: average ticket was £184, now £5,943.

    A column of categories, and one that an earlier release checked, has no means and is only named.
    """
    name, then, now = row["column"], row.get("reference_mean"), row.get("current_mean")
    text, label = column_text(labels, name), label_of(labels, name.removesuffix(ASKED))
    return text if then is None or now is None else f"{text} was {label.mean(then)}, now {label.mean(now)}"
