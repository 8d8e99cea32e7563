"""Replay of quarantined rows: corrected, or unchanged after the suite or the mapping was corrected."""

from __future__ import annotations

import csv
import hashlib
import io
import logging

import pyarrow as pa

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import ledger
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import CORRECTION, LedgerEntry, Status
from pipeline.ingestion.mapping import ROW
from pipeline.ingestion.quarantine import (
    QUARANTINE_SCHEMA,
    REASONS,
    export,
    open_rows,
    quarantine_table,
    read_quarantine,
)
from pipeline.ingestion.steps import ingest
from pipeline.lake.tables import Lake
from pipeline.logs import log_step
from pipeline.settings import Settings

log = logging.getLogger(__name__)


def replay(settings: Settings, table: str, delivery: str, corrected: str | None = None) -> LedgerEntry:
    """Ingest quarantined rows of a delivery again, as a delivery of their own that corrects it.

    Rows that now keep the contract are accepted; the others are in quarantine again, under the new delivery. The rows
    that were replayed are marked in the old quarantine; rows that `corrected` leaves out stay there unchanged.

    Args:
        settings: the settings.
        table: the table.
        delivery: the delivery whose rows are replayed.
        corrected: a CSV as `export` writes it, with corrected cells. If missing, all rows are replayed unchanged,
            which serves when the suite or the mapping was corrected instead.

    Returns:
        The ledger entry of the new delivery.

    Raises:
        RefusedError: if the delivery has no rows in quarantine, or is not committed.
        UsageError: if `corrected` has rows that are not in quarantine.
    """
    lake = Lake(settings)
    open_numbers = {row["row"] for row in open_rows(lake, table, delivery)}
    original = next((e for e in ledger.entries(lake, table, delivery) if e.status is Status.COMMITTED), None)
    if original is None:
        raise RefusedError(
            "The delivery is not committed, so its quarantine may still change",
            where=f"{table}, {delivery}",
            todo="ingest it again, then replay",
        )
    text = _without_reasons(corrected if corrected is not None else export(settings, table, delivery))
    replayed = _row_numbers(text, open_numbers, delivery)
    # A correction of a correction counts as part of the delivery that came first, too.
    first = original.corrects or delivery
    name = f"{first}{CORRECTION}{hashlib.sha256(f'{delivery} {text}'.encode()).hexdigest()[:8]}"
    path = replay_file(table, delivery, name)
    lake.write_blob(path, text.encode())
    with log_step(log, "replay", table=table, delivery=delivery, correction=name, rows=len(replayed)):
        correction = Delivery(table, original.source, name, f"{name}.csv", str(lake.path(path)), corrects=first)
        entry = ingest(settings, correction).entry

        def marked() -> pa.Table:
            rows = read_quarantine(lake, table, delivery).to_pylist()
            for row in rows:
                if row["row"] in replayed and row["replayed_in"] is None:
                    row["replayed_in"] = name
            return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)

        lake.update(quarantine_table(table), {"delivery": [delivery]}, marked)
    return entry


def _without_reasons(text: str) -> str:
    """Drop the column of reasons, which is for people and no column of the source."""
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or REASONS not in rows[0]:
        return text
    position = rows[0].index(REASONS)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(row[:position] + row[position + 1 :] for row in rows)
    return out.getvalue()


def replay_file(table: str, delivery: str, correction: str) -> str:
    """Return where the rows of a delivery that a correction holds are stored as CSV, relative to home."""
    return f"raw/{table}/{delivery}/{correction}.csv"


def _row_numbers(text: str, open_numbers: set[int], delivery: str) -> set[int]:
    """Read which rows of the quarantine a corrected file holds, and check that each of them is open."""
    reader = csv.DictReader(io.StringIO(text))
    if ROW not in (reader.fieldnames or []):
        raise UsageError(
            "The corrected file has no column with the row numbers",
            where=delivery,
            observed=f"columns {', '.join(reader.fieldnames or [])}",
            allowed=f"the column {ROW}, as `aisle quarantine show --csv` writes it",
        )
    cells = [record[ROW] for record in reader]
    numbers = {int(cell) for cell in cells if cell.isdigit()}
    unknown = sorted({cell for cell in cells if not cell.isdigit() or int(cell) not in open_numbers})
    if unknown or len(numbers) != len(cells):
        raise UsageError(
            "The corrected file has rows that are not in quarantine, or one row twice",
            where=delivery,
            observed=f"{ROW} {', '.join(unknown) or 'twice'}",
            allowed=f"each of {len(open_numbers)} rows at most once",
            todo="start from `aisle quarantine show --csv`",
        )
    return numbers
