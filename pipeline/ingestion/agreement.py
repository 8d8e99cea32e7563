"""Whether the tables hold what the ledger says of a committed delivery, found out cheaply, from numbers of rows."""

from __future__ import annotations

from collections.abc import Set
from datetime import date, timedelta

import ibis

from pipeline.contracts import CONTRACTS
from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion.ledger import CORRECTION, LEDGER, LedgerEntry, Status
from pipeline.ingestion.overlap import days_of, resolve_overlaps
from pipeline.ingestion.quarantine import quarantine_table
from pipeline.ingestion.received import received_table
from pipeline.lake import engine
from pipeline.lake.partitions import among, between, with_values
from pipeline.lake.tables import Lake
from pipeline.settings import Settings


def require_agreement(settings: Settings, lake: Lake, entry: LedgerEntry) -> None:
    """Believe that a delivery is committed only if the tables hold its rows.

    Raises:
        RefusedError: if they do not, or cannot be read.
    """
    try:
        observed = "" if _agrees_undisturbed(settings, lake, entry) else "other numbers of rows"
    except Exception as error:  # noqa: BLE001 - Delta raises many types for a table that is damaged
        observed = (str(error).splitlines() or [repr(error)])[0]
    if observed:
        raise RefusedError(
            "The ledger says that this delivery is committed, but the tables do not hold its rows",
            where=f"{entry.table}, {entry.delivery}",
            observed=observed,
            allowed=f"{entry.clean} clean and {entry.quarantined} quarantined",
            todo=f"aisle repair {entry.table}",
        )


def _agrees_undisturbed(settings: Settings, lake: Lake, entry: LedgerEntry) -> bool:
    """Compare again as long as the tables do not agree and were written to while they were compared.

    The tables are read one after the other; another process may commit a delivery of the same days in between.
    """
    names = (LEDGER, received_table(entry.table), entry.table)
    while True:
        before = [lake.exists(name) and lake.version(name) for name in names]
        if _agrees(settings, lake, entry):
            return True
        if before == [lake.exists(name) and lake.version(name) for name in names]:
            return False


def _agrees(settings: Settings, lake: Lake, entry: LedgerEntry) -> bool:
    """Compare numbers of rows from the logs of the tables with the ledger's."""
    table = entry.table
    names = (received_table(table), quarantine_table(table))
    own = among("delivery", [entry.delivery])
    counts = tuple(sum(lake.row_counts(name, "delivery", keep=own).values()) for name in names)
    if counts != (entry.clean, entry.quarantined):
        return False
    return not entry.clean or (lake.exists(table) and _clean_rows_agree(settings, lake, entry))


def _clean_rows_agree(settings: Settings, lake: Lake, entry: LedgerEntry) -> bool:
    """Compare the numbers of clean rows on a delivery's days with those that follow from the received rows.

    Where no other delivery has rows of these days, the logs tell. Only where deliveries overlap, the engine counts.
    """
    table = entry.table
    received, wanted = received_table(table), ["num_records", "min.day", "max.day", "partition.delivery"]
    version = lake.version(received)
    files = lake.data_files(received, version, among("delivery", [entry.delivery]), wanted)
    own = [file for file in files if file["num_records"]]
    first, last = min(file["min.day"] for file in own), max(file["max.day"] for file in own)
    near = lake.data_files(received, version, with_values("day", first, last), wanted)
    days = between("day", str(first), str(last + timedelta(days=1)))
    clean = {day: n for day, n in lake.row_counts(table, "day", keep=days).items() if n}
    within = all(first <= file["min.day"] and file["max.day"] <= last for file in near)
    deliveries = {str(file["partition.delivery"]) for file in near}
    if within and len({name.partition(CORRECTION)[0] for name in deliveries}) == 1:
        well = sum(clean.values()) == sum(int(file["num_records"]) for file in near)
    else:
        con = engine.connect(settings)
        rows = engine.table(con, lake, received, version, keep=with_values("day", first, last))
        rows = resolve_overlaps(rows.filter(rows.day.between(first, last)), CONTRACTS[table])
        expected = rows.group_by("day").aggregate(rows=ibis._.count()).to_pyarrow().to_pylist()
        well = {str(row["day"]): row["rows"] for row in expected} == clean
    return well or _under_way(lake, table, first, last, deliveries)


def _under_way(lake: Lake, table: str, first: date, last: date, near: Set[str]) -> bool:
    """Tell whether another delivery of these days is under way, so that the clean rows do not follow from the received.

    Such a delivery is among those `near`, whose received rows are of these days, or has clean rows of them from before.
    """
    landed = [entry.delivery for entry in ledger.entries(lake, table) if entry.status is Status.LANDED]
    if near & set(landed):
        return True
    if not landed:
        return False
    with lake.engine.connection() as con:
        return any(first <= day <= last for day in days_of(con, lake, table, landed))
