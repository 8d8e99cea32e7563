"""What the readers of a domain's page must know first: warnings of the deliveries it builds on, and drift."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.dates import format_day
from pipeline.ingestion.delivery_warnings import DeliveryWarnings, warnings_between
from pipeline.lake.migrations import migrate
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.reports.page import Link, Notice
from pipeline.reports.phrasing import counted, listed, readable
from pipeline.training.monitored import DRIFT_TABLE

if TYPE_CHECKING:
    from datetime import date

    from pipeline.registry.records import ModelVersion
    from pipeline.settings import Settings
    from pipeline.training.spec import Domain

MAX_DELIVERIES = 3
MAX_COLUMNS = 4


def page_warnings(settings: Settings, domain: Domain, as_of: date) -> list[Notice]:
    """Return the warnings for the top of a domain's page, with links that are relative to `reports/<domain>/`.

    These are the warnings of deliveries to the domain's input table with rows in the `window_days` before the as-of
    day, and the newest drift check up to that day of each champion, if it found drift.
    """
    lake = Lake(settings)
    migrate(lake)
    since = as_of - timedelta(days=settings.window_days)
    deliveries = warnings_between(lake, domain.input_table, since, as_of)
    notices = [_of_delivery(delivery) for delivery in deliveries[:MAX_DELIVERIES]]
    if len(deliveries) > MAX_DELIVERIES:
        others = counted(len(deliveries) - MAX_DELIVERIES, "earlier delivery", "earlier deliveries")
        notices.append(Notice(f"This page builds on {others} to {domain.input_table} with warnings as well."))
    registry = Registry(settings)
    champions = [version for name in domain.model_names if (version := registry.champion(name))]
    return notices + [notice for version in champions if (notice := _of_drift(lake, version, as_of))]


def _of_delivery(delivery: DeliveryWarnings) -> Notice:
    first, last = delivery.first_day, delivery.last_day
    days = format_day(first) if first == last else f"{format_day(first)} to {format_day(last)}"
    return Notice(
        f"This page builds on a delivery to {delivery.table} with rows of {days} that is unusual: "
        f"{'; '.join(delivery.reasons)}.",
        Link("The delivery", f"../validation/{delivery.table}/{delivery.delivery}.html"),
    )


def _of_drift(lake: Lake, champion: ModelVersion, as_of: date) -> Notice | None:
    """Describe the drift that a champion's newest check found; None if it found none or there was no check."""
    if not lake.exists(DRIFT_TABLE):
        return None
    rows: list[dict[str, Any]] = lake.read(DRIFT_TABLE, where={"model": [champion.name]}).to_pylist()
    rows = [row for row in rows if row["model_version"] == champion.version and row["as_of"] <= as_of]
    newest = max((row["as_of"] for row in rows), default=as_of)
    # A column can be compared twice: in the table, and in the requests to the prediction service.
    drifted = list(dict.fromkeys(row["column"] for row in rows if row["as_of"] == newest and row["drifted"]))
    if not drifted:
        return None
    names = [readable(name) for name in drifted[:MAX_COLUMNS]]
    if len(drifted) > MAX_COLUMNS:
        names.append(counted(len(drifted) - MAX_COLUMNS, "more column"))
    return Notice(
        f"The data has drifted since {champion.name} version {champion.version} was trained: the check as of "
        f"{format_day(newest)} found other values in {listed(names)}. Results of this model may be wrong.",
        Link("The check", f"../drift/{champion.name}/{format_day(newest)}.html"),
    )
