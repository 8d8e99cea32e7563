"""The thorough audit of a table: each delivery's raw bytes by checksum, and the rows that they give by content."""

from __future__ import annotations

from pipeline.contracts import CONTRACTS
from pipeline.errors import AisleError
from pipeline.ingestion import ledger
from pipeline.ingestion.assessment import source_of
from pipeline.ingestion.audit import Disagreement
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.fingerprint import rules_fingerprint
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.ingestion.rebuilding import joined_blob
from pipeline.ingestion.remedies import raw_remedy
from pipeline.ingestion.repair import compare_delivery
from pipeline.lake.health import file_hash
from pipeline.lake.tables import Lake
from pipeline.settings import Settings


def audit_contents(settings: Settings, table: str) -> tuple[list[Disagreement], list[str]]:
    """Compare the content of the tables with the raw bytes, delivery by delivery.

    Returns:
        The faults, and the deliveries whose rows were not compared because the mapping, the contract or the suite has
        changed since they were committed.
    """
    lake = Lake(settings)
    entries = ledger.entries(lake, table)
    interrupted = {e.delivery for e in entries if e.status is Status.LANDED}
    faults: list[Disagreement] = []
    skipped: list[str] = []
    for entry in entries:
        if entry.status is not Status.COMMITTED or entry.delivery in interrupted or table not in CONTRACTS:
            continue
        path = lake.path(entry.blob)
        # Of a name and a checksum in the ledger that differ, the other audit says which is wrong.
        if not path.exists() or not path.name.startswith(f"{file_hash(path)[:16]}-"):
            detail = f"{entry.delivery}: the raw bytes at {entry.blob} are not those that arrived"
            faults.append(Disagreement(detail, raw_remedy(settings, entry)))
            continue
        try:
            if _rules(settings, lake, entry) != entry.rules:
                skipped.append(entry.delivery)
            elif difference := compare_delivery(settings, lake, entry):
                faults.append(Disagreement(f"{entry.delivery}: {difference}", f"aisle repair {table}"))
        except AisleError as error:
            faults.append(Disagreement(f"{entry.delivery}: {error.what}", error.todo or f"aisle repair {table}"))
    return faults, skipped


def _rules(settings: Settings, lake: Lake, entry: LedgerEntry) -> str:
    delivery = Delivery(entry.table, entry.source, entry.delivery, entry.delivery, entry.blob, corrects=entry.corrects)
    source = source_of(settings, delivery)
    return rules_fingerprint(settings, source, joined_blob(settings, lake, entry, source))
