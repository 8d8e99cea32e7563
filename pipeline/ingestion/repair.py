"""Repair of a table: rebuild its received rows, quarantine and clean rows from the raw bytes and the ledger."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pyarrow as pa
from upath import UPath

from pipeline.contracts import CONTRACTS
from pipeline.errors import AisleError, RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion.audit import orphans, tables_count, wrong_days
from pipeline.ingestion.ledger import LedgerEntry, Status, corrections_of
from pipeline.ingestion.ledger_rebuild import mend_entries, mend_ledger_table
from pipeline.ingestion.mapping import ROW
from pipeline.ingestion.overlap import current_rows
from pipeline.ingestion.quarantine import QUARANTINE_SCHEMA, quarantine_table
from pipeline.ingestion.rebuilding import HASH_PREFIX, assess_again
from pipeline.ingestion.received import received_table
from pipeline.ingestion.replay import replay_file
from pipeline.lake import sql
from pipeline.lake.health import damages, file_hash, set_aside
from pipeline.lake.tables import Lake
from pipeline.logs import log_event, log_step
from pipeline.reports.csv_text import split_cells
from pipeline.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repair:
    """What a repair has changed, or would change.

    Attributes:
        table: the table.
        tables: for each table whose files were damaged, what was wrong and where the damaged one is kept.
        deliveries: for each delivery whose rows or counts were wrong, what was wrong.
        days: the days of the clean table that were wrong. A dry run compares with the received rows as they are, so
            that a day may be right again once the received rows are.
        failed: for each delivery that cannot be rebuilt, the reason; its rows are unchanged.
    """

    table: str
    deliveries: dict[str, str]
    days: tuple[date, ...]
    failed: dict[str, str]
    tables: dict[str, str] = field(default_factory=dict)


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
    aside = mend_ledger_table(lake, dry_run=dry_run) | _set_damaged_aside(lake, table, dry_run)
    if dry_run and aside:
        # What the tables hold cannot be compared before they can be read.
        return Repair(table, {}, (), {}, aside)
    changed, failed = mend_entries(settings, lake, table, dry_run=dry_run)
    entries = ledger.entries(lake, table)
    if not entries and not changed:
        raise RefusedError(
            "The ledger has no delivery of this table, so there is nothing to rebuild it from",
            where=table,
            observed="; ".join(failed.values()) or None,
            todo=f"aisle ingest {table} --all",
        )
    interrupted = {e.delivery for e in entries if e.status is Status.LANDED}
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
        for name in set(orphans(lake, table, entries)) - changed.keys():
            changed[name] = "rows of a delivery that was refused or replaced"
            for part in () if dry_run else (received_table(table), quarantine_table(table)):
                if lake.exists(part):
                    lake.replace(part, {"delivery": [name]}, pa.schema(lake.schema(part)).empty_table())
        # The clean rows of a delivery that cannot be rebuilt may be all that is left of it.
        lost = {
            e.delivery for e in entries if e.delivery in failed and tables_count(lake, table, e.delivery)[0] != e.clean
        }
        days = wrong_days(settings, lake, table, interrupted | lost)
        if days and not dry_run:
            with sql.connected(settings) as con:
                lake.update(table, {"day": days}, lambda: current_rows(con, lake, CONTRACTS[table], days))
        results |= {"deliveries": len(changed), "days": len(days), "failed": len(failed)}
    return Repair(table, changed, tuple(days), failed, aside)


def _set_damaged_aside(lake: Lake, table: str, dry_run: bool) -> dict[str, str]:
    """Move those of a table's three tables aside whose files are damaged; they are written anew as a whole."""
    found = {}
    for name in (received_table(table), quarantine_table(table), table):
        if faults := damages(lake, name, deep=True):
            kept = "" if dry_run else f"; the damaged table is kept in {set_aside(lake, name)}"
            found[name] = "; ".join(faults) + kept
    return found


def compare_delivery(settings: Settings, lake: Lake, entry: LedgerEntry) -> str:
    """Compare the tables with a delivery's raw bytes, and return what differs; nothing is written.

    Raises:
        AisleError: if the bytes are damaged or can no longer be read and mapped.
    """
    return _repair_delivery(settings, lake, entry, dry_run=True)


def _repair_delivery(settings: Settings, lake: Lake, entry: LedgerEntry, dry_run: bool) -> str:
    """Compare the tables with a delivery's raw bytes, write what differs, and return what differs.

    Raises:
        AisleError: if the bytes are damaged or can no longer be read and mapped.
        FileNotFoundError: if they are missing.
    """
    corrected = _with_found_blob(lake, entry, dry_run)
    if corrected is None:
        return "its raw bytes"
    assessment, rules = assess_again(settings, lake, corrected)
    with assessment:
        rejected = _with_replays(lake, entry, assessment.rejected().read_all())
        tables = {
            received_table(entry.table): assessment.accepted().read_all(),
            quarantine_table(entry.table): rejected,
        }
    differences = []
    for name, rows in tables.items():
        empty = rows.schema.empty_table()
        stored = lake.read(name, where={"delivery": [entry.delivery]}) if lake.exists(name) else empty
        if not _equal(stored.select(rows.schema.names), rows):
            differences.append(f"{name}: {stored.num_rows} rows instead of {rows.num_rows}, or other values")
            if not dry_run:
                lake.replace(name, {"delivery": [entry.delivery]}, rows)
    rebuilt = replace(
        corrected,
        rules=rules,
        read=assessment.read,
        clean=assessment.clean,
        quarantined=rejected.num_rows,
        repeats=assessment.repeats,
    )
    if rebuilt != entry:
        same_rules = rebuilt.rules == entry.rules
        differences.append("its entry in the ledger" if same_rules else "the mapping or the suite has changed")
        if not dry_run:
            ledger.record(lake, rebuilt, instead_of=entry if same_rules else None)
    return "; ".join(differences)


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


def _with_found_blob(lake: Lake, entry: LedgerEntry, dry_run: bool) -> LedgerEntry | None:
    """Return the entry with what its raw file says of itself: where it is, its checksum and its size.

    Missing or damaged bytes of a correction are stored again from the file that was written when it was replayed; None
    if that is due in a dry run.
    """
    folder = lake.path("raw", entry.table, entry.delivery)
    named = [
        UPath(lake.path(entry.blob)),
        *(folder.glob(f"{entry.sha256[: HASH_PREFIX - 1]}-*") if folder.exists() else ()),
    ]
    for path in (path for path in named if path.exists()):
        sha256 = file_hash(path)
        if path.name.startswith(sha256[: HASH_PREFIX - 1]):
            blob = f"raw/{entry.table}/{entry.delivery}/{path.name}"
            return replace(entry, blob=blob, sha256=sha256, size=path.stat().st_size)
    for parent in (entry.corrects, *corrections_of(lake, entry.table, entry.corrects)) if entry.corrects else ():
        replayed = replay_file(entry.table, parent, entry.delivery)
        if lake.path(replayed).exists():
            if dry_run:
                return None
            with lake.open_blob(replayed) as stream:
                lake.land(entry.table, entry.delivery, UPath(replayed).name, stream)
            break
    return entry


def _equal(stored: pa.Table, rebuilt: pa.Table) -> bool:
    """Tell whether two tables of one delivery have the same rows, in whatever order."""
    if stored.num_rows != rebuilt.num_rows:
        return False
    left, right = (table.cast(rebuilt.schema).sort_by("row").combine_chunks() for table in (stored, rebuilt))
    return bool(left.equals(right))
