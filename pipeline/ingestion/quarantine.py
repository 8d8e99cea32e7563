"""Rows that did not keep their contract: see them, mend them, and bring them again."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import ledger
from pipeline.ingestion.deliveries import Delivery
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.ingestion.mapping import ROW
from pipeline.ingestion.report import kind_of
from pipeline.ingestion.sources import load_sources
from pipeline.ingestion.steps import QUARANTINE_SCHEMA, REPLAY, ingest, quarantine_table
from pipeline.lake.tables import Lake
from pipeline.settings import Settings


@dataclass(frozen=True)
class QuarantineSummary:
    """The rows of a delivery that are in quarantine and were not brought again."""

    delivery: str
    rows: int
    reasons: dict[str, int]


def held(settings: Settings, table: str) -> list[QuarantineSummary]:
    """What is in quarantine, a delivery an entry."""
    by_delivery: dict[str, list[list[str]]] = {}
    for row in _rows(Lake(settings), table).to_pylist():
        if row["replayed_in"] is None:
            by_delivery.setdefault(row["delivery"], []).append(row["reasons"])
    return [
        QuarantineSummary(
            delivery, len(rows), dict(Counter(kind_of(reason) for row in rows for reason in row).most_common())
        )
        for delivery, rows in sorted(by_delivery.items())
    ]


def export(settings: Settings, table: str, delivery: str) -> str:
    """The rows of a delivery that are in quarantine as a CSV in the source's own columns, to be mended.

    The column `_row` says which row of the delivery each is; it is to be left as it is.
    """
    rows = _open_rows(settings, table, delivery)
    cells = [json.loads(row["raw"]) for row in rows]
    columns = list(dict.fromkeys(name for record in cells for name in record if name))
    columns = columns or _columns_of(settings, table, delivery)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([ROW, *columns])
    for row, record in zip(rows, cells, strict=True):
        # A line that could not be split stands whole in the first column.
        values = [record.get("", ""), *[""] * (len(columns) - 1)] if "" in record else [record[c] for c in columns]
        writer.writerow([row["row"], *values])
    return out.getvalue()


def replay(settings: Settings, table: str, delivery: str, mended: str | None = None) -> LedgerEntry:
    """Bring rows of the quarantine again, as a delivery of their own.

    Rows that keep the contract now stand; the others are in quarantine again, under the new delivery. The rows that
    were brought again are marked so; those that `mended` leaves out stay as they are.

    Args:
        mended: a CSV as `export` gives it, with its cells mended; missing: the rows as they came, for when the suite
            or the mapping was mended instead.

    Raises:
        RefusedError: if nothing of the delivery waits, or the ledger has not closed it.
        UsageError: if `mended` has rows that are not in quarantine.
    """
    lake = Lake(settings)
    waiting = {row["row"] for row in _open_rows(settings, table, delivery)}
    of = next((e for e in ledger.entries(lake, table, delivery) if e.status is Status.COMMITTED), None)
    if of is None:
        raise RefusedError(
            "The delivery is not done, so its quarantine may still change",
            where=f"{table}, {delivery}",
            todo="ingest it again, then replay",
        )
    text = mended if mended is not None else export(settings, table, delivery)
    brought = _brought(text, waiting, delivery)
    # What is mended for the second time still stands in the place of the delivery that came first.
    first = of.mends or delivery
    name = f"{first}{REPLAY}{hashlib.sha256(f'{delivery} {text}'.encode()).hexdigest()[:8]}"
    path = f"raw/{table}/{delivery}/{name}.csv"
    lake.write_blob(path, text.encode())
    entry = ingest(settings, Delivery(table, of.source, name, f"{name}.csv", str(lake.path(path)), corrects=first))

    def marked() -> pa.Table:
        rows = _rows(lake, table, delivery).to_pylist()
        for row in rows:
            if row["row"] in brought and row["replayed_in"] is None:
                row["replayed_in"] = name
        return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)

    lake.update(quarantine_table(table), {"delivery": [delivery]}, marked)
    return entry


def _brought(text: str, waiting: set[int], delivery: str) -> set[int]:
    reader = csv.DictReader(io.StringIO(text))
    if ROW not in (reader.fieldnames or []):
        raise UsageError(
            "The mended file does not say which rows it mends",
            where=delivery,
            observed=f"columns {', '.join(reader.fieldnames or [])}",
            allowed=f"the column {ROW}, as `aisle quarantine show --csv` writes it",
        )
    rows = [record[ROW] for record in reader]
    numbers = {int(row) for row in rows if row.isdigit()}
    strangers = sorted({row for row in rows if not row.isdigit() or int(row) not in waiting})
    if strangers or len(numbers) != len(rows):
        raise UsageError(
            "The mended file has rows that are not waiting in quarantine, or has one twice",
            where=delivery,
            observed=f"{ROW} {', '.join(strangers) or 'twice'}",
            allowed=f"each of {len(waiting)} rows at most once",
            todo="start from `aisle quarantine show --csv`",
        )
    return numbers


def _open_rows(settings: Settings, table: str, delivery: str) -> list[dict[str, Any]]:
    rows = [row for row in _rows(Lake(settings), table, delivery).to_pylist() if row["replayed_in"] is None]
    if not rows:
        raise RefusedError(
            "Nothing of this delivery waits in quarantine",
            where=f"{table}, {delivery}",
            todo="see aisle quarantine list",
        )
    return sorted(rows, key=lambda row: int(row["row"]))


def _rows(lake: Lake, table: str, delivery: str | None = None) -> pa.Table:
    name = quarantine_table(table)
    if not lake.exists(name):
        return QUARANTINE_SCHEMA.empty_table()
    return lake.read(name, where={"delivery": [delivery]} if delivery else None).select(QUARANTINE_SCHEMA.names)


def _columns_of(settings: Settings, table: str, delivery: str) -> list[str]:
    source = next(e.source for e in ledger.entries(Lake(settings), table, delivery))
    spec = load_sources(settings).get(table, source).spec
    return [*dict.fromkeys(name for column in spec.columns.values() for name in column.sources), *spec.ignore]
