"""Days on which a table should have rows and has none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from pipeline.ingestion import ledger
from pipeline.ingestion.addresses import has_days
from pipeline.ingestion.deliveries import absent_days
from pipeline.ingestion.ledger import Status
from pipeline.ingestion.sources import NamedSource, load_sources
from pipeline.lake.tables import Lake
from pipeline.settings import Settings


@dataclass(frozen=True)
class DayCoverage:
    """Which days of a range a table has rows of.

    Attributes:
        first, last: the range, both inclusive.
        missing: its days without rows on which the shop is not known to be closed, in order.
    """

    first: date
    last: date
    missing: tuple[date, ...]


def day_coverage(
    settings: Settings, table: str, since: date | None = None, until: date | None = None
) -> DayCoverage | None:
    """Find the days of a range without rows.

    Args:
        settings: the settings.
        table: a clean table.
        since: the first day of the range; never before the table's first day, which is the default.
        until: the day after the last; by default the day after the table's last day.

    Returns:
        None where a missing day cannot be noticed: no committed delivery comes from a source whose files name their
        days, or the range is empty.
    """
    lake = Lake(settings)
    source, days = _dated_source(settings, lake, table), lake.days(table)
    if source is None or not days:
        return None
    first = max(since, days[0]) if since else days[0]
    until = until or days[-1] + timedelta(days=1)
    if first >= until:
        return None
    return DayCoverage(first, until - timedelta(days=1), absent_days(source, set(days), first, until).missing)


def _dated_source(settings: Settings, lake: Lake, table: str) -> NamedSource | None:
    sources = load_sources(settings)
    used = {entry.source for entry in ledger.entries(lake, table) if entry.status is Status.COMMITTED}
    named = (sources.get(table, name) for name in sources.spec.tables.get(table, {}) if name in used)
    return next((source for source in named if has_days(source.spec.address)), None)
