"""Repair of a table: rebuild its received rows, quarantine and clean rows from the raw bytes and the ledger."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pyarrow as pa
from upath import UPath

from pipeline.contracts import CONTRACTS
from pipeline.errors import AisleError, RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion.assessment import Assessment, assess_rows, source_of
from pipeline.ingestion.audit import orphans, wrong_days
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.fingerprint import rules_fingerprint
from pipeline.ingestion.ledger import LedgerEntry, Status, corrections_of
from pipeline.ingestion.mapping import ROW
from pipeline.ingestion.overlap import current_rows
from pipeline.ingestion.quarantine import QUARANTINE_SCHEMA, quarantine_table
from pipeline.ingestion.received import received_table
from pipeline.ingestion.replay import replay_file
from pipeline.ingestion.sources import NamedSource
from pipeline.lake import engine
from pipeline.lake.files import Blob
from pipeline.lake.tables import Lake
from pipeline.logs import log_event, log_step
from pipeline.reports.csv_text import split_cells
from pipeline.settings import Settings

log = logging.getLogger(__name__)

HASH_PREFIX = 17
"""Length of what precedes a delivery's own name in the name of its raw file: 16 digits of the hash and a dash."""


@dataclass(frozen=True)
class Repair:
    """What a repair has changed, or would change.

    Attributes:
        table: the table.
        deliveries: for each delivery whose rows or counts were wrong, what was wrong.
        days: the days of the clean table that were wrong. A dry run compares with the received rows as they are, so
            that a day may be right again once the received rows are.
        failed: for each delivery that cannot be rebuilt, the reason; its rows are unchanged.
    """

    table: str
    deliveries: dict[str, str]
    days: tuple[date, ...]
    failed: dict[str, str]


def repair(settings: Settings, table: str, *, dry_run: bool = False) -> Repair:
    """Bring the tables of ingestion back to what the raw bytes and the ledger say, and write only what differs.

    The rows are assessed by the present mapping, contract and suite. Expectations on a delivery as a whole do not
    matter, because the ledger says that it was accepted. Deliveries that are under way are left alone; no ingestion
    of the table should run at the same time.

    Args:
        settings: the settings.
        table: the table.
        dry_run: whether to find out what differs without writing anything.

    Raises:
        RefusedError: if the ledger has no delivery of the table.
    """
    lake = Lake(settings)
    entries = ledger.entries(lake, table)
    if not entries:
        raise RefusedError(
            "The ledger has no delivery of this table, so there is nothing to rebuild it from",
            where=table,
            todo=f"aisle ingest {table} --all",
        )
    interrupted = {e.delivery for e in entries if e.status is Status.LANDED}
    changed: dict[str, str] = {}
    failed: dict[str, str] = {}
    with log_step(log, "repair", table=table, dry_run=dry_run) as results:
        for entry in entries:
            if entry.status is not Status.COMMITTED or entry.delivery in interrupted:
                continue
            try:
                difference = _repair_delivery(settings, lake, entry, dry_run)
            except (AisleError, FileNotFoundError) as error:
                failed[entry.delivery] = str(error)
                log_event(log, "delivery not repaired", logging.WARNING, table=table, delivery=entry.delivery)
                continue
            if difference:
                changed[entry.delivery] = difference
        for name in orphans(lake, table, entries):
            changed[name] = "rows of a delivery that was refused or replaced"
            for part in () if dry_run else (received_table(table), quarantine_table(table)):
                if lake.exists(part):
                    lake.replace(part, {"delivery": [name]}, pa.schema(lake.schema(part)).empty_table())
        days = wrong_days(settings, lake, table, interrupted)
        if days and not dry_run:
            con = engine.connect(settings)
            lake.update(table, {"day": days}, lambda: current_rows(con, lake, CONTRACTS[table], days))
        results |= {"deliveries": len(changed), "days": len(days), "failed": len(failed)}
    return Repair(table, changed, tuple(days), failed)


def _repair_delivery(settings: Settings, lake: Lake, entry: LedgerEntry, dry_run: bool) -> str:
    """Compare the tables with a delivery's raw bytes, write what differs, and return what differs.

    Raises:
        AisleError: if the bytes are damaged or can no longer be read and mapped.
        FileNotFoundError: if they are missing.
    """
    assessment, rules = _assess_again(settings, lake, entry, dry_run)
    rejected = _with_replays(lake, entry, assessment.rejected)
    tables = {received_table(entry.table): assessment.accepted, quarantine_table(entry.table): rejected}
    differences = []
    for name, rows in tables.items():
        empty = rows.schema.empty_table()
        stored = lake.read(name, where={"delivery": [entry.delivery]}) if lake.exists(name) else empty
        if not _equal(stored.select(rows.schema.names), rows):
            differences.append(f"{name}: {stored.num_rows} rows instead of {rows.num_rows}, or other values")
            if not dry_run:
                lake.replace(name, {"delivery": [entry.delivery]}, rows)
    rebuilt = replace(
        entry,
        rules=rules,
        read=assessment.read,
        clean=assessment.accepted.num_rows,
        quarantined=rejected.num_rows,
        repeats=assessment.repeats,
    )
    if rebuilt != entry:
        same_rules = rebuilt.rules == entry.rules
        differences.append("the counts in the ledger" if same_rules else "the mapping or the suite has changed")
        if not dry_run:
            ledger.record(lake, rebuilt)
    return "; ".join(differences)


def _assess_again(settings: Settings, lake: Lake, entry: LedgerEntry, dry_run: bool) -> tuple[Assessment, str]:
    """Assess the raw bytes of a delivery, and return the fingerprint of the rules by which that was done."""
    blob = _find_blob(lake, entry, dry_run)
    with lake.open_blob(blob) as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    if digest != entry.sha256:
        raise RefusedError(
            "The raw bytes are damaged",
            where=entry.blob,
            observed=f"SHA-256 {digest[:16]}…",
            allowed=f"{entry.sha256[:16]}…",
            todo=f"aisle ingest {entry.table} --all (it stores them again if the source still has the file)",
        )
    # Days are left out: they serve only expectations on the delivery as a whole.
    name = UPath(entry.blob).name[HASH_PREFIX:]
    path = str(lake.path(entry.blob))
    delivery = Delivery(entry.table, entry.source, entry.delivery, name, path, corrects=entry.corrects)
    source = source_of(settings, delivery)
    joined = _joined_blob(settings, lake, entry, source)
    assessment = assess_rows(settings, lake, delivery, replace(entry, blob=blob), joined.path if joined else None)
    return assessment, rules_fingerprint(settings, source, joined)


def _joined_blob(settings: Settings, lake: Lake, entry: LedgerEntry, source: NamedSource) -> Blob | None:
    """Find the raw file that was joined to a delivery: of several the one of the ledger's rules, or else the newest."""
    if source.spec.join is None:
        return None
    name = UPath(source.spec.join.address).name
    folder = lake.path("raw", entry.table, entry.delivery)
    paths = [path for path in folder.iterdir() if path.name[HASH_PREFIX:] == name]
    newest_last = sorted(paths, key=lambda path: path.stat().st_mtime)
    blobs = []
    for path in newest_last:
        data = path.read_bytes()
        below_home = f"raw/{entry.table}/{entry.delivery}/{path.name}"
        blobs.append(Blob(below_home, hashlib.sha256(data).hexdigest(), len(data)))
    if not blobs:
        raise FileNotFoundError(f"The raw bytes of the joined file {name} are missing in {folder}")
    return next((blob for blob in blobs if rules_fingerprint(settings, source, blob) == entry.rules), blobs[-1])


def _with_replays(lake: Lake, entry: LedgerEntry, rejected: pa.Table) -> pa.Table:
    """Mark the rejected rows of a delivery that have been replayed in a correction since."""
    corrections = corrections_of(lake, entry.table, entry.corrects or entry.delivery)
    replayed: dict[int, str] = {}
    for name in corrections:
        path = lake.path(replay_file(entry.table, entry.delivery, name))
        committed = any(e.status is Status.COMMITTED for e in ledger.entries(lake, entry.table, name))
        if committed and path.exists():
            header, *lines = split_cells(path.read_bytes().decode(), name)
            replayed |= {int(line[header.index(ROW)]): name for line in lines}
    rows: list[dict[str, Any]] = rejected.to_pylist()
    for row in rows:
        row["replayed_in"] = replayed.get(row["row"])
    return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


def _find_blob(lake: Lake, entry: LedgerEntry, dry_run: bool) -> str:
    """Return where the raw bytes of a delivery are, relative to home.

    Missing bytes of a correction are stored again from the file that was written when it was replayed.
    """
    if entry.corrects is None or lake.path(entry.blob).exists():
        return entry.blob
    for parent in (entry.corrects, *corrections_of(lake, entry.table, entry.corrects)):
        path = replay_file(entry.table, parent, entry.delivery)
        if lake.path(path).exists():
            if not dry_run:
                with lake.open_blob(path) as stream:
                    lake.land(entry.table, entry.delivery, UPath(path).name, stream)
            return path
    return entry.blob


def _equal(stored: pa.Table, rebuilt: pa.Table) -> bool:
    """Tell whether two tables of one delivery have the same rows, in whatever order."""
    if stored.num_rows != rebuilt.num_rows:
        return False
    left, right = (table.cast(rebuilt.schema).sort_by("row").combine_chunks() for table in (stored, rebuilt))
    return bool(left.equals(right))
