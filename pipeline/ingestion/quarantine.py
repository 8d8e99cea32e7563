"""The quarantine: the rows of each delivery that broke the contract, unchanged and with the reasons."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion.mapping import ROW
from pipeline.ingestion.sources import load_sources
from pipeline.ingestion.suites import reason_kind
from pipeline.lake.tables import Lake
from pipeline.reports.csv_text import write_csv
from pipeline.settings import Settings

REASONS = "_reasons"
"""The column of an exported file that holds why each row was rejected; replay ignores it."""
_OWN_COLUMN = re.compile(f"({ROW}|{REASONS})_*")
QUARANTINE_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("reasons", pa.list_(pa.string())),
        ("raw", pa.string()),
        ("replayed_in", pa.string()),
        ("delivery", pa.string()),
    ]
)
"""`raw` is the row as delivered, as a JSON object; `replayed_in` the delivery that corrects it, once there is one."""


def quarantine_table(table: str) -> str:
    """Return the name of the table of rejected rows."""
    return f"{table}.quarantine"


def read_quarantine(lake: Lake, table: str, delivery: str | None = None) -> pa.Table:
    """Return the quarantined rows of a table, or of one delivery, in no certain order."""
    name = quarantine_table(table)
    if not lake.exists(name):
        return QUARANTINE_SCHEMA.empty_table()
    return lake.read(name, where={"delivery": [delivery]} if delivery else None).select(QUARANTINE_SCHEMA.names)


@dataclass(frozen=True)
class QuarantineSummary:
    """The rows of one delivery that are in quarantine and have not been replayed.

    Attributes:
        delivery: the delivery's id.
        rows: number of rows.
        reasons: number of rows for each kind of reason, most frequent first.
    """

    delivery: str
    rows: int
    reasons: dict[str, int]


def summarize(settings: Settings, table: str) -> list[QuarantineSummary]:
    """Summarize the quarantine of a table, delivery by delivery."""
    by_delivery: dict[str, list[list[str]]] = {}
    for row in read_quarantine(Lake(settings), table).to_pylist():
        if row["replayed_in"] is None:
            by_delivery.setdefault(row["delivery"], []).append(row["reasons"])
    return [
        QuarantineSummary(
            delivery, len(rows), dict(Counter(reason_kind(reason) for row in rows for reason in row).most_common())
        )
        for delivery, rows in sorted(by_delivery.items())
    ]


def open_rows(lake: Lake, table: str, delivery: str) -> list[dict[str, Any]]:
    """Return the quarantined rows of a delivery that have not been replayed, in the order of the delivery.

    Raises:
        RefusedError: if there are none.
    """
    rows = [row for row in read_quarantine(lake, table, delivery).to_pylist() if row["replayed_in"] is None]
    if not rows:
        raise RefusedError(
            "The delivery has no rows in quarantine",
            where=f"{table}, {delivery}",
            todo="see aisle quarantine list",
        )
    return sorted(rows, key=lambda row: int(row["row"]))


def export(settings: Settings, table: str, delivery: str) -> str:
    """Export the quarantined rows of a delivery as a CSV with the source's own columns, so that they can be corrected.

    The column `_row` holds the number of the row in the delivery and must not be changed; `_reasons` holds the reasons
    against the row and is ignored by replay. A column of the source with one of these names gets a `_` at its end. A
    cell that a spreadsheet would take for a formula begins with an apostrophe, which replay takes off.

    Raises:
        RefusedError: if no row of the delivery is in quarantine.
    """
    rows = open_rows(Lake(settings), table, delivery)
    cells = [json.loads(row["raw"]) for row in rows]
    columns = list(dict.fromkeys(name for record in cells if not _is_malformed(record) for name in record))
    columns = columns or _source_columns(settings, table, delivery)
    lines: list[list[object]] = [[ROW, REASONS, *(_exported_name(name) for name in columns)]]
    for row, record in zip(rows, cells, strict=True):
        # A line that could not be split into columns is written whole into the first one.
        whole = _is_malformed(record)
        values = [record[""], *[""] * (len(columns) - 1)] if whole else [record.get(name) for name in columns]
        lines.append([row["row"], "; ".join(row["reasons"]), *values])
    return write_csv(lines)


def source_name(exported: str) -> str:
    """Return the source's own name of an exported column."""
    return exported.removesuffix("_") if _OWN_COLUMN.fullmatch(exported) else exported


def _exported_name(name: str) -> str:
    return f"{name}_" if _OWN_COLUMN.fullmatch(name) else name


def _is_malformed(record: Mapping[str, Any]) -> bool:
    """Tell whether a quarantined row is a whole line; a source may have a column without a name beside others."""
    return record.keys() == {""}


def _source_columns(settings: Settings, table: str, delivery: str) -> list[str]:
    source = next(e.source for e in ledger.entries(Lake(settings), table, delivery))
    spec = load_sources(settings).get(table, source).spec
    return list(spec.known_columns)
