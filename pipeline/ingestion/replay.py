"""Replay of quarantined rows: corrected, or unchanged after the suite or the mapping was corrected."""

from __future__ import annotations

import hashlib
import logging
import re

import pyarrow as pa

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import ledger
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import CORRECTION, LedgerEntry, Status
from pipeline.ingestion.mapping import MAX_QUOTED, ROW
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
from pipeline.reports.csv_text import join_cells, read_csv
from pipeline.settings import Settings

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"\s*([0-9]{1,18})(?:\.0+)?\s*")
"""The number of a row, also as spreadsheets write whole numbers."""
MAX_LISTED = 20


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
        UsageError: if `corrected` is no CSV, or has rows that are not in quarantine.
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
    text, replayed = corrected_rows(
        corrected if corrected is not None else export(settings, table, delivery), open_numbers, delivery
    )
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


def corrected_rows(text: str, open_numbers: set[int], delivery: str) -> tuple[str, set[int]]:
    """Read a corrected file: a CSV as `export` writes it, which a spreadsheet may have saved.

    Args:
        text: its content.
        open_numbers: the numbers of the rows that may be replayed.
        delivery: the delivery whose rows they are, for messages.

    Returns:
        The rows as a CSV for the reader of deliveries, and their numbers.

    Raises:
        UsageError: if it is no CSV, or has rows other than these.
    """
    header, *lines = _without_reasons(_rectangular(read_csv(text, delivery), delivery))
    numbers = _row_numbers(header, lines, open_numbers, delivery)
    for line, number in zip(lines, numbers, strict=True):
        line[header.index(ROW)] = str(number)
    return join_cells([header, *lines]), set(numbers)


def _rectangular(rows: list[list[str]], delivery: str) -> list[list[str]]:
    """Give each row as many cells as the header has: some editors leave out empty cells at the end, or add some.

    Raises:
        UsageError: if the file is empty, or a row has more cells than the header.
    """
    width = len(rows[0]) if rows else 0
    long = next((n for n, row in enumerate(rows, 1) if any(row[width:])), None)
    if not width or long is not None:
        raise UsageError(
            "The corrected file has a line with more cells than its header" if width else "The corrected file is empty",
            where=f"{delivery}, line {long}" if long else delivery,
            observed=f"{len(rows[long - 1])} cells" if long else None,
            allowed=f"{width} cells" if width else None,
            todo="put cells with commas in quotes; start from `aisle quarantine show --csv`",
        )
    return [[*row, *[""] * (width - len(row))][:width] for row in rows]


def _without_reasons(rows: list[list[str]]) -> list[list[str]]:
    """Drop the column of reasons, which is for people and no column of the source."""
    if REASONS not in rows[0]:
        return rows
    position = rows[0].index(REASONS)
    return [row[:position] + row[position + 1 :] for row in rows]


def replay_file(table: str, delivery: str, correction: str) -> str:
    """Return where the rows of a delivery that a correction holds are stored as CSV, relative to home."""
    return f"raw/{table}/{delivery}/{correction}.csv"


def _row_numbers(header: list[str], lines: list[list[str]], open_numbers: set[int], delivery: str) -> list[int]:
    """Read which row of the quarantine each line holds, and check that each of them is open."""
    if header.count(ROW) != 1:
        raise UsageError(
            "The corrected file has no column with the row numbers, or two",
            where=delivery,
            observed=f"columns {_listed(header)}",
            allowed=f"the column {ROW} once, as `aisle quarantine show --csv` writes it",
        )
    cells = [line[header.index(ROW)] for line in lines]
    numbers = [int(match[1]) for cell in cells if (match := _NUMBER.fullmatch(cell))]
    unknown = sorted({c for c in cells if not (match := _NUMBER.fullmatch(c)) or int(match[1]) not in open_numbers})
    if unknown or not lines or len(set(numbers)) != len(lines):
        raise UsageError(
            "The corrected file has rows that are not in quarantine, one row twice, or none",
            where=delivery,
            observed=f"{ROW} {_listed(unknown)}" if unknown else "one row twice" if lines else "no row",
            allowed=f"each of {len(open_numbers)} rows at most once",
            todo="start from `aisle quarantine show --csv`",
        )
    return numbers


def _listed(cells: list[str]) -> str:
    """Quote the first few of several cells, which may be of any length."""
    shown = ", ".join(cell[:MAX_QUOTED] for cell in cells[:MAX_LISTED])
    return shown + (" …" if len(cells) > MAX_LISTED or any(len(c) > MAX_QUOTED for c in cells[:MAX_LISTED]) else "")
