"""The received rows: the accepted rows of each delivery, whatever other deliveries hold.

They are the contract's columns, and two more that decide between overlapping deliveries, under the names of earlier
releases: `speaker`, the delivery that a row counts as part of (for a correction, the corrected delivery), and
`spoken_at`, the time since when that delivery is in effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import pyarrow as pa

from pipeline.contracts import Contract
from pipeline.dates import UNDATED
from pipeline.ingestion import ledger
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.lake.tables import Lake


def received_table(table: str) -> str:
    """Return the name of the table of received rows."""
    return f"{table}.received"


def received_rows(
    accepted: Iterable[pa.Table], delivery: Delivery, effective_at: datetime, contract: Contract
) -> pa.RecordBatchReader:
    """Build the received rows of a delivery from its accepted rows, batch by batch while they are read.

    A correction counts as part of the delivery that it corrects.

    Args:
        accepted: batches of typed rows with `row` and `day`.
        delivery: the delivery they are of.
        effective_at: see `effective_at`.
        contract: the table's contract.
    """
    own = [
        pa.field("speaker", pa.string()),
        pa.field("spoken_at", pa.timestamp("us")),
    ]
    schema = pa.schema([*contract.schema, *own])

    def batches() -> Iterator[pa.RecordBatch]:
        for rows in accepted:
            constants = {
                "delivery": pa.scalar(delivery.id),
                "speaker": pa.scalar(delivery.corrects or delivery.id),
                "spoken_at": pa.scalar(effective_at, pa.timestamp("us")),
            }
            columns = {name: rows[name] for name in rows.column_names}
            columns |= {name: pa.repeat(value, rows.num_rows) for name, value in constants.items()}
            columns["day"] = rows["day"].fill_null(UNDATED)
            yield from pa.table([columns[name] for name in schema.names], schema=schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def effective_at(lake: Lake, entry: LedgerEntry) -> datetime:
    """Return the time since when a delivery is in effect: its landing, or for a correction that of what it corrects."""
    corrected = ledger.entries(lake, entry.table, entry.corrects) if entry.corrects else []
    return next((e.landed_at for e in corrected if e.status is Status.COMMITTED), entry.landed_at)
