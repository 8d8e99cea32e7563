"""The audit of a table: do the raw bytes, the ledger, the received rows, the quarantine and the clean table agree?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
from upath import UPath

from pipeline.contracts import CONTRACTS
from pipeline.dates import format_day
from pipeline.ingestion import ledger
from pipeline.ingestion.ledger import LEDGER, LedgerEntry, Status, corrections_of
from pipeline.ingestion.overlap import days_of, resolve_overlaps
from pipeline.ingestion.quarantine import quarantine_table
from pipeline.ingestion.received import received_table
from pipeline.ingestion.remedies import ingest_command, raw_remedy
from pipeline.lake import engine
from pipeline.lake.health import damages
from pipeline.lake.partitions import among
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_SHOWN_DAYS = 5
DIGEST_MODULUS = 2**31 - 1


@dataclass(frozen=True)
class Disagreement:
    """A fault of a table.

    Attributes:
        detail: what disagrees, in a sentence.
        remedy: the command that puts it right.
    """

    detail: str
    remedy: str


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        committed: the ledger's entries of the deliveries that are complete.
        unfinished: the deliveries that are under way, or were interrupted and have to be ingested again.
        disagreements: the faults.
    """

    committed: tuple[LedgerEntry, ...]
    unfinished: tuple[Disagreement, ...]
    disagreements: tuple[Disagreement, ...]


def audit(settings: Settings, table: str, *, deep: bool = False) -> Audit:
    """Compare the raw bytes, the ledger and the tables with each other, without reading the raw bytes.

    Deliveries that are under way are left out, because their tables and the ledger may differ.

    Args:
        settings: the settings.
        table: the table.
        deep: whether to read every data file of the tables.
    """
    lake = Lake(settings)
    if faults := damaged(lake, table, deep=deep):
        # What the tables hold cannot be compared before they can be read.
        return Audit((), (), tuple(faults))
    entries = ledger.entries(lake, table)
    committed = [e for e in entries if e.status is Status.COMMITTED]
    interrupted = sorted({e.delivery for e in entries if e.status is Status.LANDED})
    complete = [e for e in committed if e.delivery not in interrupted]
    faults = [*_count_faults(lake, table, committed, complete), *_orphans(lake, table, entries)]
    faults += _entry_faults(table, entries)
    faults += [fault for entry in complete if (fault := _raw_fault(settings, lake, entry))]
    if days := wrong_days(settings, lake, table, set(interrupted)):
        shown = ", ".join(format_day(day) for day in days[:MAX_SHOWN_DAYS])
        more = f" and {len(days) - MAX_SHOWN_DAYS:,} more" if len(days) > MAX_SHOWN_DAYS else ""
        detail = f"the clean table does not follow from the received rows on {shown}{more}"
        faults.append(Disagreement(detail, f"aisle repair {table}"))
    landed = {e.delivery: e for e in entries if e.status is Status.LANDED}
    unfinished = tuple(_unfinished(settings, lake, entry) for _, entry in sorted(landed.items()))
    return Audit(tuple(committed), unfinished, tuple(faults))


def damaged(lake: Lake, table: str, *, deep: bool = False) -> list[Disagreement]:
    """Return what is wrong with the files of the ledger and of a table's three tables."""
    found = [
        Disagreement(f"the table {name} is damaged: {detail}", f"aisle repair {table}")
        for name in (LEDGER, received_table(table), quarantine_table(table), table)
        for detail in damages(lake, name, deep=deep)
    ]
    if found:
        return found
    try:
        ledger.entries(lake, table)
    except (KeyError, TypeError, ValueError) as error:
        return [Disagreement(f"the ledger has an entry that cannot be read ({error})", f"aisle repair {table}")]
    return []


def wrong_days(settings: Settings, lake: Lake, table: str, interrupted: set[str]) -> list[date]:
    """Return the days on which the clean table is not what follows from the received rows.

    Args:
        settings: the settings.
        lake: the lake.
        table: the table.
        interrupted: deliveries whose days are left out.
    """
    received = received_table(table)
    con = engine.connect(settings)
    expected, actual = {}, {}
    if lake.exists(received):
        expected = _digests(resolve_overlaps(engine.table(con, lake, received), CONTRACTS[table]), table)
    if lake.exists(table):
        actual = _digests(engine.table(con, lake, table), table)
    wrong = {day for day in expected.keys() | actual.keys() if expected.get(day) != actual.get(day)}
    return sorted(wrong - _days_under_way(con.con, lake, table, interrupted))


def orphans(lake: Lake, table: str, entries: list[LedgerEntry]) -> list[str]:
    """Return the deliveries that have rows in the tables although the ledger says they were refused or replaced."""
    expected = {e.delivery for e in entries if e.status in (Status.COMMITTED, Status.LANDED)}
    known = {e.delivery for e in entries}
    return sorted((_deliveries_with_rows(lake, table) & known) - expected)


def unknown_deliveries(lake: Lake, table: str, entries: list[LedgerEntry]) -> set[str]:
    """Return the deliveries that have rows or raw bytes although the ledger does not know them."""
    known = {e.delivery for e in entries}
    raw = lake.path("raw", table)
    folders = [path for path in raw.iterdir() if path.name not in known] if raw.exists() else []
    # A name that begins with a dot is of a file whose arrival was interrupted.
    arrived = {path.name for path in folders if any(not file.name.startswith(".") for file in path.iterdir())}
    return (_deliveries_with_rows(lake, table) - known) | arrived


def tables_count(lake: Lake, table: str, delivery: str) -> tuple[int, int]:
    """Return the numbers of received and of quarantined rows of a delivery."""
    own = among("delivery", [delivery])
    received, quarantined = (
        sum(lake.row_counts(name, "delivery", keep=own).values())
        for name in (received_table(table), quarantine_table(table))
    )
    return received, quarantined


def _count_faults(
    lake: Lake, table: str, committed: list[LedgerEntry], complete: list[LedgerEntry]
) -> list[Disagreement]:
    received = lake.row_counts(received_table(table), "delivery")
    quarantined = lake.row_counts(quarantine_table(table), "delivery")
    details = [
        f"{e.delivery}: {e.read} rows read are not {e.clean} clean + {e.quarantined} quarantined + {e.repeats} repeats"
        for e in committed
        if not e.accounted_for
    ]
    details += [
        f"{e.delivery}: the ledger says {e.clean} clean and {e.quarantined} quarantined, the tables hold "
        f"{received.get(e.delivery, 0)} and {quarantined.get(e.delivery, 0)}"
        for e in complete
        if (received.get(e.delivery, 0), quarantined.get(e.delivery, 0)) != (e.clean, e.quarantined)
    ]
    return [Disagreement(detail, f"aisle repair {table}") for detail in details]


def _orphans(lake: Lake, table: str, entries: list[LedgerEntry]) -> list[Disagreement]:
    details = [
        f"{name}: the tables hold rows, but the ledger says that it was refused or replaced"
        for name in orphans(lake, table, entries)
    ]
    details += [
        f"{name}: there are rows or raw bytes, but the ledger does not know the delivery"
        for name in sorted(unknown_deliveries(lake, table, entries))
    ]
    return [Disagreement(detail, f"aisle repair {table}") for detail in details]


def _entry_faults(table: str, entries: list[LedgerEntry]) -> list[Disagreement]:
    """Say which entries of the ledger contradict themselves or each other."""
    newest = Counter(e.delivery for e in entries if e.status is Status.COMMITTED)
    details = [
        f"{name}: the ledger says {count} times that it is committed" for name, count in newest.items() if count > 1
    ]
    details += [
        f"{e.delivery}: the ledger's checksum is not that of {e.blob}"
        for e in entries
        if e.blob and not UPath(e.blob).name.startswith(f"{e.sha256[:16]}-")
    ]
    return [Disagreement(detail, f"aisle repair {table}") for detail in details]


def has_rows(lake: Lake, entry: LedgerEntry) -> bool:
    """Tell whether a delivery has rows in the received table or the quarantine."""
    return tables_count(lake, entry.table, entry.delivery) != (0, 0)


def _unfinished(settings: Settings, lake: Lake, entry: LedgerEntry) -> Disagreement:
    """What helps a delivery that is under way or was interrupted: the same step again."""
    remedy = ingest_command(settings, entry)
    if entry.corrects and has_rows(lake, entry):
        # Its rows may be marked as replayed by now, so that they cannot be replayed again.
        remedy = f"aisle repair {entry.table}"
    elif entry.corrects:
        parents = (entry.corrects, *corrections_of(lake, entry.table, entry.corrects))
        files = {parent: lake.path(f"raw/{entry.table}/{parent}/{entry.delivery}.csv") for parent in parents}
        parent, file = next(((name, path) for name, path in files.items() if path.exists()), (entry.corrects, None))
        remedy = f"aisle quarantine replay {entry.table} {parent}" + (f" --csv {file}" if file else "")
    return Disagreement(f"{entry.delivery} is under way, or was interrupted", f"{remedy} (unless it is under way)")


def _raw_fault(settings: Settings, lake: Lake, entry: LedgerEntry) -> Disagreement | None:
    path = lake.path(entry.blob)
    size = path.stat().st_size if path.exists() else None
    if size == entry.size:
        return None
    observed = "are missing" if size is None else f"have {size} bytes instead of {entry.size}"
    return Disagreement(f"{entry.delivery}: the raw bytes at {entry.blob} {observed}", raw_remedy(settings, entry))


def _deliveries_with_rows(lake: Lake, table: str) -> set[str]:
    counts = [lake.row_counts(name, "delivery") for name in (received_table(table), quarantine_table(table))]
    return {delivery for count in counts for delivery, rows in count.items() if rows}


def _digests(rows: ir.Table, table: str) -> dict[date, tuple[int, int]]:
    """Return the number of rows of each day, and a sum of their hashes, which does not depend on their order."""
    columns = ibis.struct({name: rows[name] for name in CONTRACTS[table].schema.names})
    digests = (
        rows.mutate(digest=columns.hash() % DIGEST_MODULUS)
        .group_by("day")
        .aggregate(rows=ibis._.count(), digest=ibis._.digest.sum().cast("int64"))
        .to_pyarrow()
    )
    return {row["day"]: (row["rows"], row["digest"]) for row in digests.to_pylist()}


def _days_under_way(con: DuckDBPyConnection, lake: Lake, table: str, interrupted: set[str]) -> set[date]:
    corrections = [name for delivery in interrupted for name in corrections_of(lake, table, delivery)]
    deliveries = [*interrupted, *corrections]
    if not deliveries:
        return set()
    return days_of(con, lake, received_table(table), deliveries) | days_of(con, lake, table, deliveries)
