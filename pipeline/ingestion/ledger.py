"""The ledger: what became of every delivery, so that nothing is lost and it can be proved.

For each delivery: rows read = clean + quarantined + exact repeats. A row of the ledger stands for one delivery with
certain bytes; bytes that were replaced by others stay on record.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

import pyarrow as pa

from pipeline.lake.tables import Lake

LEDGER = "ledger"


class Status(StrEnum):
    """How far a delivery came."""

    LANDED = "landed"
    COMMITTED = "committed"
    REFUSED = "refused"
    REPLACED = "replaced"
    """Committed once; the delivery has come with other bytes since."""


@dataclass(frozen=True)
class LedgerEntry:
    """What became of a delivery.

    Attributes:
        sha256: of its bytes; `blob` is where they are kept, below home.
        rules: hash of the mapping, the contract and the suite that judged it.
        landed_at: when these bytes first came (UTC).
        clean, quarantined, repeats: what became of the rows read.
        mends: the delivery whose quarantined rows this one brings again, mended.
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
    mends: str | None = None
    reason: str | None = None

    @property
    def accounted_for(self) -> bool:
        """Whether every row that was read is somewhere."""
        return self.read == self.clean + self.quarantined + self.repeats


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
    """What the ledger says, of all deliveries or of some, in the order in which they landed."""
    if not lake.exists(LEDGER):
        return []
    where = {name: [value] for name, value in (("table", table), ("delivery", delivery)) if value is not None}
    found = [
        LedgerEntry(**{**row, "status": Status(row["status"])}) for row in lake.read(LEDGER, where=where).to_pylist()
    ]
    return sorted(found, key=lambda entry: (entry.landed_at, entry.delivery))


def record(lake: Lake, entry: LedgerEntry) -> None:
    """Write an entry; where it is committed, what the delivery brought before is on record as replaced."""

    def rows() -> pa.Table:
        others = [
            e for e in entries(lake, entry.table, entry.delivery) if (e.sha256, e.rules) != (entry.sha256, entry.rules)
        ]
        if entry.status is Status.COMMITTED:
            others = [replace(e, status=Status.REPLACED) if e.status is not Status.REFUSED else e for e in others]
        return pa.Table.from_pylist([asdict(e) for e in (*others, entry)], schema=SCHEMA)

    lake.update(LEDGER, {"table": [entry.table], "delivery": [entry.delivery]}, rows)
