"""The three steps of ingestion: land the bytes of a delivery, check its rows, commit them.

Four tables are written, each in one atomic commit, in an order that makes it safe to kill the process at any moment:

- `<table>.received`: the accepted rows of each delivery, whatever other deliveries hold (partitioned by delivery);
- `<table>.quarantine`: the rejected rows of each delivery, unchanged, with the reasons (partitioned by delivery);
- `<table>`: the current rows (partitioned by day), computed from the received rows by `overlap.py`;
- `ledger`: last. A delivery is complete when the ledger says so; until then the next run repeats it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Self

from pipeline.contracts import CONTRACTS
from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import ledger
from pipeline.ingestion.addresses import has_days
from pipeline.ingestion.agreement import require_agreement
from pipeline.ingestion.assessment import assess, source_of
from pipeline.ingestion.deliveries import Delivery, find_deliveries
from pipeline.ingestion.delivery_warnings import record_warnings
from pipeline.ingestion.fingerprint import rules_fingerprint
from pipeline.ingestion.landing import record_unread, store_bytes
from pipeline.ingestion.ledger import LedgerEntry, Status, corrections_of
from pipeline.ingestion.overlap import current_rows, days_of
from pipeline.ingestion.quarantine import quarantine_table
from pipeline.ingestion.received import received_table
from pipeline.ingestion.sources import load_sources
from pipeline.lake.partitions import among
from pipeline.lake.tables import Lake, TableRef
from pipeline.logs import log_event, log_step
from pipeline.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Landed:
    """A delivery whose bytes are stored.

    Attributes:
        delivery: the delivery.
        entry: its entry in the ledger.
        unchanged: whether these bytes are already committed under the same rules, so that nothing is left to do.
        joined: where the bytes of the file to be joined are, relative to home, if there is one.
    """

    delivery: Delivery
    entry: LedgerEntry
    unchanged: bool
    joined: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as values that JSON can hold."""
        return {**_as_dict(self.delivery, self.entry, self.unchanged), "joined": self.joined}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Restore a record from what `as_dict` returned."""
        return cls(**_fields(record), joined=record["joined"])


@dataclass(frozen=True)
class Checked:
    """A delivery whose rows are received or in quarantine.

    Attributes:
        delivery: the delivery.
        entry: its entry in the ledger, with the counts of its rows.
        unchanged: whether it is already committed, so that nothing is left to do.
        warnings: what is unusual about it, in sentences; empty if it was already committed.
    """

    delivery: Delivery
    entry: LedgerEntry
    unchanged: bool
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the record as values that JSON can hold."""
        return {**_as_dict(self.delivery, self.entry, self.unchanged), "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Restore a record from what `as_dict` returned."""
        return cls(**_fields(record), warnings=tuple(record["warnings"]))


@dataclass(frozen=True)
class Committed:
    """A delivery that is complete.

    Attributes:
        entry: its entry in the ledger.
        ref: the version of the clean table that has its rows.
        days: the days of the clean table that were rebuilt.
        unchanged: whether it was already committed before.
        warnings: what is unusual about it, in sentences; empty if it was already committed.
    """

    entry: LedgerEntry
    ref: TableRef
    days: tuple[date, ...] = ()
    unchanged: bool = False
    warnings: tuple[str, ...] = ()


def pending(
    settings: Settings, table: str, source: str | None = None, *, since: date | None = None, until: date | None = None
) -> list[Delivery]:
    """Find the deliveries of a source for a range of days (`until` is exclusive), or all of them.

    Raises:
        UsageError: if days are given and the source's address does not say which of its files belong to which day.
    """
    named = load_sources(settings, table, source).get(table, source)
    if (since or until) and not has_days(named.spec.address):
        raise UsageError(
            "The source's files cannot be chosen by day",
            where=named.where,
            observed=f"from: {named.spec.address}",
            allowed="an address with {day}",
            todo="give --all, which ingests every file; or put {day} into the address if the files' names have the day",
        )
    return find_deliveries(settings, named, since=since, until=until)


def ingest(settings: Settings, delivery: Delivery, *, force: bool = False, lake: Lake | None = None) -> Committed:
    """Land, check and commit a delivery.

    Args:
        settings: the settings.
        delivery: the delivery.
        force: whether to check the delivery again even if the ledger says that it is already committed.
        lake: the lake, if its tables have been opened for other deliveries before.

    Raises:
        RefusedError: if the delivery as a whole cannot be accepted; what it had brought before is unchanged.
    """
    lake = lake or Lake(settings)
    return commit(settings, check(settings, land(settings, delivery, force=force, lake=lake), lake), lake)


def land(settings: Settings, delivery: Delivery, *, force: bool = False, lake: Lake | None = None) -> Landed:
    """Store the bytes of a delivery unchanged, and record in the ledger that they have landed.

    The arguments are those of `ingest`.

    A delivery that cannot be opened is recorded as refused; `check` then raises the error, as for all other refusals.
    """
    lake = lake or Lake(settings)
    with log_step(log, "land", table=delivery.table, delivery=delivery.id) as results:
        source = source_of(settings, delivery)
        try:
            blob, joined = store_bytes(settings, lake, delivery, source)
        except RefusedError as refusal:
            return Landed(delivery, record_unread(lake, delivery, source, refusal), unchanged=False)
        results["bytes"] = blob.size
        rules = rules_fingerprint(settings, source, joined)
        known = ledger.entries(lake, delivery.table, delivery.id)
        same = next((e for e in known if (e.sha256, e.rules) == (blob.sha256, rules)), None)
        interrupted = any(e.status is Status.LANDED for e in known)
        if same and same.status is Status.COMMITTED and not interrupted and not force:
            if (same.blob, same.size) != (blob.path, blob.size):
                same = replace(same, blob=blob.path, size=blob.size)
                ledger.record(lake, same)
            require_agreement(settings, lake, same)
            log_event(log, "already committed", table=delivery.table, delivery=delivery.id, rows=same.read)
            return Landed(delivery, same, unchanged=True)
        # Bytes that had been replaced by others and arrive again count as new.
        landings = [e.landed_at for e in known if e.sha256 == blob.sha256 and e.status is not Status.REPLACED]
        entry = LedgerEntry(
            delivery.table,
            delivery.id,
            source.name,
            blob.sha256,
            rules,
            blob.path,
            blob.size,
            landed_at=min(landings, default=datetime.now(UTC).replace(tzinfo=None)),
            corrects=delivery.corrects,
        )
        if same and same.status in (Status.COMMITTED, Status.LANDED):
            # The counts say that these bytes have been committed before, in case they are refused now.
            counts = {name: getattr(same, name) for name in ("read", "clean", "quarantined", "repeats")}
            entry = replace(entry, **counts)
        ledger.record(lake, entry)
    return Landed(delivery, entry, unchanged=False, joined=joined.path if joined else None)


def check(settings: Settings, landed: Landed, lake: Lake | None = None) -> Checked:
    """Decide which rows of a landed delivery are accepted; write the received rows, the quarantine and the page.

    Raises:
        RefusedError: if the delivery as a whole cannot be accepted. The ledger has the reason.
    """
    lake, delivery, entry = lake or Lake(settings), landed.delivery, landed.entry
    if landed.unchanged:
        return Checked(delivery, entry, unchanged=True)
    if entry.status is Status.REFUSED:
        raise RefusedError(entry.reason or "The delivery was refused")
    with log_step(log, "check", table=delivery.table, delivery=delivery.id) as results:
        try:
            assessment = assess(settings, lake, delivery, entry, landed.joined)
        except RefusedError as refusal:
            log_event(
                log,
                "delivery refused",
                logging.WARNING,
                table=delivery.table,
                delivery=delivery.id,
                reason=refusal.what,
            )
            if entry.read:
                # The same bytes were accepted before, and their rows are still in the tables.
                ledger.record(lake, replace(entry, status=Status.COMMITTED))
            else:
                ledger.record(lake, replace(entry, status=Status.REFUSED, reason=str(refusal)))
            raise
        with assessment:
            counts = {name: getattr(assessment, name) for name in ("read", "clean", "quarantined", "repeats")}
            corrections = corrections_of(lake, delivery.table, delivery.id)
            where = {"delivery": [delivery.id, *corrections]}
            lake.update(received_table(delivery.table), where, assessment.accepted)
            quarantine = quarantine_table(delivery.table)
            before = among("delivery", where["delivery"])
            # Most deliveries have no row in quarantine and had none, so most need no commit.
            if assessment.quarantined or lake.row_counts(quarantine, "delivery", keep=before):
                lake.update(quarantine, where, assessment.rejected)
        results |= counts
    void = _void_corrections(lake, delivery.table, corrections)
    return Checked(delivery, replace(entry, **counts), unchanged=False, warnings=(*assessment.warnings, *void))


def commit(settings: Settings, checked: Checked, lake: Lake | None = None) -> Committed:
    """Rebuild the days of the clean table that a checked delivery affects, and complete it in the ledger."""
    lake, entry, table = lake or Lake(settings), checked.entry, checked.entry.table
    if checked.unchanged:
        return Committed(entry, TableRef(table, lake.version(table)), unchanged=True)
    with log_step(log, "commit", table=table, delivery=entry.delivery) as results:
        corrections = corrections_of(lake, table, entry.delivery)
        with lake.engine.connection() as con:
            own_days = days_of(con, lake, received_table(table), [entry.delivery])
            days = sorted(own_days | days_of(con, lake, table, [entry.delivery, *corrections]))
            if days:
                ref = lake.update(table, {"day": days}, lambda: current_rows(con, lake, CONTRACTS[table], days))
            else:
                # A correction of which every row was rejected again.
                ref = TableRef(table, lake.version(table))
        for old in (old for delivery in corrections for old in ledger.entries(lake, table, delivery)):
            ledger.record(lake, replace(old, status=Status.REPLACED))
        record_warnings(lake, table, entry.delivery, own_days, checked.warnings, replaced=corrections)
        complete = replace(entry, status=Status.COMMITTED)
        ledger.record(lake, complete)
        results |= {"rows": entry.clean, "days": len(days), "version": ref.version}
    return Committed(complete, ref, tuple(days), warnings=checked.warnings)


def _void_corrections(lake: Lake, table: str, corrections: list[str]) -> list[str]:
    """Say which corrections lose their effect because the delivery that they correct was checked again."""
    return [
        f"The correction {name} no longer applies, because the delivery was checked again; replay it if needed"
        for name in corrections
        if any(entry.status is Status.COMMITTED for entry in ledger.entries(lake, table, name))
    ]


def _as_dict(delivery: Delivery, entry: LedgerEntry, unchanged: bool) -> dict[str, Any]:
    row = entry.as_row() | {"landed_at": entry.landed_at.isoformat()}
    return {"delivery": delivery.as_dict(), "entry": row, "unchanged": unchanged}


def _fields(record: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(record["entry"])
    entry = LedgerEntry.from_row(row | {"landed_at": datetime.fromisoformat(row["landed_at"])})
    return {"delivery": Delivery.from_dict(record["delivery"]), "entry": entry, "unchanged": record["unchanged"]}
