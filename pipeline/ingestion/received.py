"""The received rows: the accepted rows of each delivery, whatever other deliveries hold.

They are the contract's columns, and two more that decide between overlapping deliveries, under the names of earlier
releases: `speaker`, the delivery that a row counts as part of (for a correction, the corrected delivery), and
`spoken_at`, the time since when that delivery is in effect.
"""

from __future__ import annotations

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


def received_rows(accepted: pa.Table, delivery: Delivery, effective_at: datetime, contract: Contract) -> pa.Table:
    """Build the received rows of a delivery from its accepted rows.

    A correction counts as part of the delivery that it corrects.

    Args:
        accepted: typed rows with `row` and `day`.
        delivery: the delivery they are of.
        effective_at: see `effective_at`.
        contract: the table's contract.
    """
    count = accepted.num_rows
    position = accepted.schema.get_field_index("day")
    dated = accepted.set_column(position, "day", accepted["day"].fill_null(UNDATED))
    rows = dated.append_column("delivery", pa.array([delivery.id] * count, pa.string())).select(contract.schema.names)
    source_delivery = delivery.corrects or delivery.id
    return rows.append_column("speaker", pa.array([source_delivery] * count, pa.string())).append_column(
        "spoken_at", pa.array([effective_at] * count, pa.timestamp("us"))
    )


def effective_at(lake: Lake, entry: LedgerEntry) -> datetime:
    """Return the time since when a delivery is in effect: its landing, or for a correction that of what it corrects."""
    corrected = ledger.entries(lake, entry.table, entry.corrects) if entry.corrects else []
    return next((e.landed_at for e in corrected if e.status is Status.COMMITTED), entry.landed_at)
