"""The ledger: what became of every delivery, so that it can be proved that no row was lost.

For each delivery: rows read = clean + quarantined + exact repeats. The ledger has one entry for each delivery and each
content of it; when a delivery is replaced by other bytes, the entry of the old bytes stays on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import pyarrow as pa

from pipeline.lake.partitions import beginning_with
from pipeline.lake.tables import Lake

LEDGER = "ledger"
CORRECTION = "--replay-"
"""In the id of a correction, what separates the id of the corrected delivery from the correction's own hash."""


class Status(StrEnum):
    """How far a delivery has come."""

    LANDED = "landed"
    COMMITTED = "committed"
    REFUSED = "refused"
    REPLACED = "replaced"
    """Was committed; the delivery has been committed with other bytes or other rules since."""


@dataclass(frozen=True)
class LedgerEntry:
    """What became of a delivery with certain bytes.

    Attributes:
        table: the table it is for.
        delivery: the delivery's id.
        source: the source's name in sources.yaml.
        sha256: SHA-256 of its bytes.
        rules: fingerprint of the mapping, the contract and the suite that were applied.
        blob: where its bytes are stored, relative to home.
        size: number of bytes.
        landed_at: when these bytes first arrived (UTC).
        status: how far it has come.
        read: number of rows in the delivery.
        clean: number of rows that were accepted.
        quarantined: number of rows that were rejected.
        repeats: number of exact repeats that were dropped.
        corrects: the delivery whose quarantined rows it holds in corrected form, if it is a correction.
        reason: why it was refused.
    """

    table: str
    delivery: str
    source: str
    sha256: str
    rules: str
    blob: str
    size: int
    landed_at: datetime
    status: Status = Status.LANDED
    read: int = 0
    clean: int = 0
    quarantined: int = 0
    repeats: int = 0
    corrects: str | None = None
    reason: str | None = None

    @property
    def accounted_for(self) -> bool:
        """Tell whether the counts of the rows add up to the rows read."""
        return self.read == self.clean + self.quarantined + self.repeats

    def as_row(self) -> dict[str, Any]:
        """Return the entry as a row of the ledger, where `corrects` has its former name `mends`."""
        row = asdict(self)
        return row | {"mends": row.pop("corrects")}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Restore an entry from a row of the ledger."""
        fields = dict(row)
        return cls(**fields | {"corrects": fields.pop("mends"), "status": Status(row["status"])})


SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("delivery", pa.string()),
        ("source", pa.string()),
        ("sha256", pa.string()),
        ("rules", pa.string()),
        ("blob", pa.string()),
        ("size", pa.int64()),
        ("landed_at", pa.timestamp("us")),
        ("status", pa.string()),
        ("read", pa.int64()),
        ("clean", pa.int64()),
        ("quarantined", pa.int64()),
        ("repeats", pa.int64()),
        ("mends", pa.string()),
        ("reason", pa.string()),
    ]
)


def entries(lake: Lake, table: str | None = None, delivery: str | None = None) -> list[LedgerEntry]:
    """Return the entries of all deliveries, of one table or of one delivery, in the order in which they landed."""
    if not lake.exists(LEDGER):
        return []
    where = {name: [value] for name, value in (("table", table), ("delivery", delivery)) if value is not None}
    found = [LedgerEntry.from_row(row) for row in lake.read(LEDGER, where=where).to_pylist()]
    return sorted(found, key=lambda entry: (entry.landed_at, entry.delivery))


def corrections_of(lake: Lake, table: str, delivery: str) -> list[str]:
    """Return the ids of the deliveries that correct quarantined rows of a delivery."""
    prefix = delivery + CORRECTION
    ids = lake.row_counts(LEDGER, "delivery", keep=beginning_with("delivery", prefix))
    return [name for name in ids if any(entry.corrects == delivery for entry in entries(lake, table, name))]


def record(lake: Lake, entry: LedgerEntry, *, instead_of: LedgerEntry | None = None) -> None:
    """Write an entry. If it is committed, the entries of the delivery's former bytes become `replaced`.

    Args:
        lake: the lake.
        entry: the entry.
        instead_of: an entry that is wrong, and is not kept.
    """

    def rows() -> pa.Table:
        keys = {(wrong.sha256, wrong.rules) for wrong in (entry, instead_of) if wrong}
        others = [e for e in entries(lake, entry.table, entry.delivery) if (e.sha256, e.rules) not in keys]
        if entry.status is Status.COMMITTED:
            others = [replace(e, status=Status.REPLACED) if e.status is not Status.REFUSED else e for e in others]
        return pa.Table.from_pylist([e.as_row() for e in (*others, entry)], schema=SCHEMA)

    lake.update(LEDGER, {"table": [entry.table], "delivery": [entry.delivery]}, rows)
