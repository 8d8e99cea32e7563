"""From the received rows of all deliveries to the clean table: where deliveries overlap, the newest one wins.

The current rows of a day are a function of the rows received for that day. So they are the same in whatever order the
deliveries arrive, arrive again, or arrive at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from pipeline.contracts import Contract
from pipeline.ingestion.received import received_table
from pipeline.ingestion.rows import BATCH_ROWS
from pipeline.lake.sql import quoted, scan
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def current_rows(con: DuckDBPyConnection, lake: Lake, contract: Contract, days: list[date]) -> pa.RecordBatchReader:
    """Compute the rows of the clean table on some days from all rows that were received for them.

    They are computed while they are read, in the order of day, delivery and row.
    """
    first, last = min(days), max(days)
    name = received_table(contract.table)
    version = lake.version(name)

    def may_have(file: Mapping[str, Any]) -> bool:
        return bool(file["num_records"] and file["min.day"] <= last and file["max.day"] >= first)

    files = lake.files(name, version, may_have, ["num_records", "min.day", "max.day"])
    if not files:
        return contract.schema.empty_table().to_reader()
    listed = ", ".join(f"DATE '{day}'" for day in days)
    received = f"SELECT * FROM ({scan(files, lake.schema(name, version), ['delivery'])}) WHERE day IN ({listed})"  # noqa: S608
    (deliveries,) = con.execute(f"SELECT count(DISTINCT speaker) FROM ({received})").fetchone() or (0,)  # noqa: S608
    if deliveries > 1:
        received = _newest_of_each_line(received, contract)
    columns = ", ".join(map(quoted, contract.schema.names))
    query = f"SELECT {columns} FROM ({received}) ORDER BY day, delivery, row"  # noqa: S608 (names are quoted)
    batches = con.execute(query).to_arrow_reader(BATCH_ROWS)
    return batches.cast(contract.schema)


def _newest_of_each_line(received: str, contract: Contract) -> str:
    """Return the query for the rows of the newest delivery of each line; see `resolve_overlaps`."""
    line = ", ".join(map(quoted, ("day", *contract.line_key)))
    newest_first = f"dense_rank() OVER (PARTITION BY {line} ORDER BY spoken_at DESC, speaker DESC)"
    return f"SELECT * FROM ({received}) QUALIFY {newest_first} = 1"  # noqa: S608 (names are quoted)


def resolve_overlaps(received: ir.Table, contract: Contract) -> ir.Table:
    """Keep, of the deliveries that hold the same line of the same day, the rows of the newest one.

    A line is identified by the contract's `line_key`; a delivery may hold several rows of it, which all stay.
    """
    newest_first = ibis.window(
        group_by=["day", *contract.line_key], order_by=[received.spoken_at.desc(), received.speaker.desc()]
    )
    return received.mutate(rank=ibis.dense_rank().over(newest_first)).filter(lambda t: t["rank"] == 0)


def days_of(con: DuckDBPyConnection, lake: Lake, table: str, deliveries: list[str]) -> set[date]:
    """Return the days on which a table has rows of some deliveries; none if the table does not exist.

    What the log says of a file with one day and one delivery is enough; other files are read.
    """
    if not lake.exists(table):
        return set()
    version = lake.version(table)
    partitions = lake.partition_columns(table)
    found: set[date] = set()

    def must_be_read(file: Mapping[str, Any]) -> bool:
        bounds = {name: _bounds(file, name) for name in ("day", "delivery")}
        low, high = bounds["delivery"]
        if not file["num_records"] or not any(low <= delivery <= high for delivery in deliveries):
            return False
        first, last = bounds["day"]
        if first != last or low != high:
            return True
        found.add(first if isinstance(first, date) else date.fromisoformat(first))
        return False

    wanted = [f"{part}.{name}" for part in ("partition", "min", "max") for name in ("day", "delivery")]
    if files := lake.files(table, version, must_be_read, ["num_records", *wanted]):
        listed = ", ".join("?" for _ in deliveries)
        rows = scan(files, lake.schema(table, version), partitions)
        query = f"SELECT DISTINCT day FROM ({rows}) WHERE delivery IN ({listed})"  # noqa: S608 (names are quoted)
        found |= {day for (day,) in con.execute(query, deliveries).fetchall()}
    return found


def _bounds(file: Mapping[str, Any], column: str) -> tuple[Any, Any]:
    """Return the lowest and the highest value of a column in a file, as the log says."""
    if f"partition.{column}" in file:
        return file[f"partition.{column}"], file[f"partition.{column}"]
    return file[f"min.{column}"], file[f"max.{column}"]
