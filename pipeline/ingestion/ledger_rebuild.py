"""The ledger's entries, made again from the raw bytes and the tables where they are lost or contradict them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
from upath import UPath

from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion.assessment import Assessment
from pipeline.ingestion.audit import has_rows, orphans, tables_count, unknown_deliveries
from pipeline.ingestion.ledger import CORRECTION, LEDGER, LedgerEntry, Status
from pipeline.ingestion.rebuilding import HASH_PREFIX, assess_again
from pipeline.ingestion.received import received_table
from pipeline.ingestion.sources import load_sources
from pipeline.lake.health import damages, file_hash, set_aside
from pipeline.lake.tables import Lake
from pipeline.logs import log_event
from pipeline.settings import Settings

log = logging.getLogger(__name__)

_RAW_NAME = re.compile(r"^[0-9a-f]{16}-.")


def mend_ledger_table(lake: Lake, *, dry_run: bool) -> dict[str, str]:
    """Write the ledger anew if its files are damaged or an entry cannot be read, with the entries that can be.

    Entries of deliveries that were under way are left out, because the damage may have undone a later entry.

    Returns:
        What was wrong, by the ledger's name.
    """
    found = damages(lake, LEDGER, deep=True)
    rows, unreadable = _readable(lake)
    if not found and not unreadable:
        return {}
    text = "; ".join(found) or f"{unreadable} entries that cannot be read"
    if not dry_run:
        kept = [entry for entry in rows if not found or entry.status is not Status.LANDED]
        text += f"; the damaged table is kept in {set_aside(lake, LEDGER)}"
        table = pa.Table.from_pylist([entry.as_row() for entry in kept], schema=ledger.SCHEMA)
        lake.append(LEDGER, table, partition=["table", "delivery"])
    return {LEDGER: text}


def _readable(lake: Lake) -> tuple[list[LedgerEntry], int]:
    """The entries of the ledger that can be read, and how many cannot."""
    try:
        rows = lake.read(LEDGER).to_pylist() if lake.exists(LEDGER) else []
    except Exception:  # noqa: BLE001 - a damaged table raises many types; nothing of it can be read then
        return [], 0
    entries = []
    for row in rows:
        try:
            entry = LedgerEntry.from_row(row)
        except (KeyError, TypeError, ValueError):
            continue
        if all(value is not None for name, value in row.items() if name not in ("mends", "reason")):
            entries.append(entry)
    return entries, len(rows) - len(entries)


def mend_entries(settings: Settings, lake: Lake, table: str, *, dry_run: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Record what the ledger lacks of a table's deliveries, and correct states that the tables contradict.

    Returns:
        For each delivery what was wrong, and for each that cannot be recorded the reason.
    """
    changed: dict[str, str] = {}
    failed: dict[str, str] = {}
    entries = ledger.entries(lake, table)
    for name in orphans(lake, table, entries):
        if entry := _committed_after_all(lake, [e for e in entries if e.delivery == name]):
            changed[name] = f"the ledger said {entry.status}, but its rows are in the tables"
            if not dry_run:
                ledger.record(lake, replace(entry, status=Status.COMMITTED, reason=None))
    for name, times in Counter(e.delivery for e in entries if e.status is Status.COMMITTED).items():
        if times > 1:
            changed[name] = f"the ledger had it {times} times"
            newest = max((e for e in entries if e.delivery == name and e.status is Status.COMMITTED), key=_landed)
            if not dry_run:
                ledger.record(lake, newest)
    # A correction takes its time from the delivery that it corrects, which must be known before.
    unfinished = {e.delivery for e in entries if e.status is Status.LANDED and e.corrects and has_rows(lake, e)}
    for name in sorted(
        unknown_deliveries(lake, table, entries) | unfinished, key=lambda name: (CORRECTION in name, name)
    ):
        try:
            made = _rebuilt(settings, lake, table, name)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one delivery, the others are recorded
            failed[name] = str(error)
            continue
        if made is None:
            failed[name] = f"its raw bytes are missing in raw/{table}/{name}, so the ledger cannot know it again"
            continue
        changed[name] = "it was not finished" if name in unfinished else "the ledger did not know it"
        log_event(log, "ledger entry made again", table=table, delivery=name, status=made.status)
        if not dry_run:
            ledger.record(lake, made)
    return changed, failed


def _committed_after_all(lake: Lake, entries: Collection[LedgerEntry]) -> LedgerEntry | None:
    """The entry whose numbers of rows are those in the tables, although its state says that they are not there."""
    for entry in sorted(entries, key=_landed, reverse=True):
        if entry.read and tables_count(lake, entry.table, entry.delivery) == (entry.clean, entry.quarantined):
            return entry
    return None


def _landed(entry: LedgerEntry) -> datetime:
    return entry.landed_at


def _rebuilt(settings: Settings, lake: Lake, table: str, delivery: str) -> LedgerEntry | None:
    """The entry of a delivery, from its raw bytes: of several files the one whose rows are in the tables."""
    source = _source_name(settings, table, delivery)
    counts = tables_count(lake, table, delivery)
    best: LedgerEntry | None = None
    for path in raw_files(settings, lake, table, delivery, source):
        entry = LedgerEntry(
            table,
            delivery,
            source,
            file_hash(path),
            "",
            f"raw/{table}/{delivery}/{path.name}",
            path.stat().st_size,
            landed_at=_landed_at(lake, table, delivery, path),
            corrects=delivery.partition(CORRECTION)[0] if CORRECTION in delivery else None,
        )
        assessment, rules = assess_again(settings, lake, entry)
        with assessment:
            found = _assessed(replace(entry, rules=rules), assessment, in_tables=counts != (0, 0))
        if (found.clean, found.quarantined) == counts:
            return found
        best = best or found
    return best


def _assessed(entry: LedgerEntry, assessment: Assessment, *, in_tables: bool) -> LedgerEntry:
    refusals = assessment.validation.refusals
    if refusals and not in_tables:
        return replace(entry, status=Status.REFUSED, reason="; ".join(result.sentence for result in refusals))
    return replace(
        entry,
        status=Status.COMMITTED,
        read=assessment.read,
        clean=assessment.clean,
        quarantined=assessment.quarantined,
        repeats=assessment.repeats,
    )


def raw_files(settings: Settings, lake: Lake, table: str, delivery: str, source: str) -> list[UPath]:
    """The raw files of a delivery that may be its own and not a joined one, newest first."""
    folder = lake.path("raw", table, delivery)
    join = load_sources(settings, table, source).get(table, source).spec.join
    joined = UPath(join.address).name if join else None
    paths = [path for path in folder.iterdir() if _RAW_NAME.match(path.name)] if folder.exists() else []
    own = [path for path in paths if path.name[HASH_PREFIX:] != joined]
    return sorted(own, key=lambda path: path.stat().st_mtime, reverse=True)


def _source_name(settings: Settings, table: str, delivery: str) -> str:
    """The source of a delivery, by whose name its id begins.

    Raises:
        RefusedError: if sources.yaml no longer has it.
    """
    names = [name for name in load_sources(settings).spec.tables[table] if delivery.startswith(f"{name}--")]
    if not names:
        raise RefusedError("The source of this delivery is not in sources.yaml", where=delivery, todo="add it again")
    return max(names, key=len)


def _landed_at(lake: Lake, table: str, delivery: str, path: UPath) -> datetime:
    """When a delivery landed: the received rows know, or else the time of its raw file is the nearest."""
    received = received_table(table)
    if CORRECTION not in delivery and lake.exists(received):
        times: list[datetime] = lake.read(received, where={"delivery": [delivery]})["spoken_at"].to_pylist()
        if times:
            return max(times)
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
