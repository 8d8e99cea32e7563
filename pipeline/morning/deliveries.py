"""Deliveries on the morning page: those that were refused, and the newest of each table."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.morning.state import DAYS, Arrival, Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.reports.ways import WrittenPages

USUAL_DELIVERIES = 28
"""From how many deliveries before it the usual quarantined share is taken."""


def refused_deliveries(entries: Sequence[LedgerEntry], pages: WrittenPages) -> list[Line]:
    """Return a line for each delivery that was refused and has not come in since."""
    newest_of = {(entry.table, entry.delivery): entry for entry in entries}  # the last to land is the last to be kept
    newest = max((entry.landed_at for entry in entries), default=None)
    found = []
    for entry in newest_of.values():
        if entry.status is Status.REFUSED and newest and newest - entry.landed_at < timedelta(days=DAYS):
            link = pages.link("The delivery", f"validation/{entry.table}/{entry.delivery}")
            reason = str(entry.reason).splitlines()[0]
            todo = f"aisle ingest {entry.table} --all"
            subject = f"{entry.table}: {entry.delivery}"
            links = (link,) if link else ()
            found.append(Line(subject, "delivery", "refused", links, news=(reason,), todo=todo))
    return found


def newest_arrivals(entries: Sequence[LedgerEntry], pages: WrittenPages) -> list[Arrival]:
    """Return the newest committed delivery of each table, by table."""
    found = []
    for table in sorted({entry.table for entry in entries}):
        committed = [e for e in entries if e.table == table and e.status is Status.COMMITTED and e.corrects is None]
        if committed:
            newest = committed[-1]
            before = [e.quarantined / e.read for e in committed[:-1] if e.read][-USUAL_DELIVERIES:]
            recent = [e for e in committed if newest.landed_at - e.landed_at < timedelta(days=DAYS)]
            found.append(
                Arrival(
                    newest,
                    recent=len(recent),
                    usual_share=median(before) if before else None,
                    recent_rows=sum(e.read for e in recent),
                    recent_quarantined=sum(e.quarantined for e in recent),
                    page=pages.link(newest.delivery, f"validation/{table}/{newest.delivery}"),
                )
            )
    return found
