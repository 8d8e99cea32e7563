"""From the received rows of all deliveries to the clean table: where deliveries overlap, the newest one wins.

The current rows of a day are a function of the rows received for that day. So they are the same in whatever order the
deliveries arrive, arrive again, or arrive at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts import Contract
from pipeline.ingestion.received import received_table
from pipeline.ingestion.rows import BATCH_ROWS
from pipeline.lake.partitions import with_values
from pipeline.lake.sql import quoted, scan
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PIECE_ROWS = BATCH_ROWS
"""How many rows of a delivery are ordered at once."""


def current_rows(con: DuckDBPyConnection, lake: Lake, contract: Contract, days: list[date]) -> pa.RecordBatchReader:
    """Compute the rows of the clean table on some days from all rows that were received for them.

    They are computed while they are read, ordered by day, so that few of the days' files are written at the same time.
    """
    name = received_table(contract.table)
    version = lake.version(name)
    files = lake.files(name, version, with_values("day", min(days), max(days)))
    if not files:
        return contract.schema.empty_table().to_reader()
    listed = ", ".join(f"DATE '{day}'" for day in days)
    received = f"SELECT * FROM ({scan(files, lake.schema(name, version), ['delivery'])}) WHERE day IN ({listed})"  # noqa: S608
    columns = ", ".join(map(quoted, contract.schema.names))
    about = "min(speaker) < max(speaker), min(delivery) < max(delivery), min(row), max(row)"
    ((overlap, several, first, last),) = con.execute(f"SELECT {about} FROM ({received})").fetchall()  # noqa: S608
    if first is not None and not several:
        query = f"SELECT {columns} FROM ({received})"  # noqa: S608 (names are quoted)
        pieces = _in_pieces(con, query, range(first, last + 1), contract.schema)
        return pa.RecordBatchReader.from_batches(contract.schema, pieces)
    if overlap:
        received = _newest_of_each_line(received, contract)
    query = f"SELECT {columns} FROM ({received}) ORDER BY day, delivery, row"  # noqa: S608 (names are quoted)
    batches = con.execute(query).to_arrow_reader(BATCH_ROWS)
    return batches.cast(contract.schema)


def _in_pieces(con: DuckDBPyConnection, query: str, numbers: range, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Compute the rows of one delivery piece by piece, each in the order of day and row.

    Files hold the rows nearly in order, so that each piece is in a few parts of them. Ordering pieces takes a fraction
    of the time and memory that ordering all rows does.
    """
    for start in range(numbers.start, numbers.stop, PIECE_ROWS):
        piece = f"{query} WHERE row BETWEEN {start} AND {start + PIECE_ROWS - 1} ORDER BY day, row"
        yield from con.execute(piece).to_arrow_table().cast(schema).to_batches()


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
    partitions = lake.partition_columns(table, version)
    found: set[date] = set()

    def may_have(files: pa.Table) -> pa.ChunkedArray:
        low, high = _bounds(files, "delivery")
        of_one = (pc.and_(pc.less_equal(low, name), pc.greater_equal(high, name)) for name in deliveries)
        return pc.and_(pc.greater(files["num_records"], 0), reduce(pc.or_, of_one))

    def must_be_read(files: pa.Table) -> pa.ChunkedArray:
        (first, last), (low, high) = _bounds(files, "day"), _bounds(files, "delivery")
        one = pc.and_(pc.equal(first, last), pc.equal(low, high))
        found.update(first.filter(pc.and_(one, may_have(files))).cast(pa.date32()).to_pylist())
        return pc.and_(pc.invert(one), may_have(files))

    if files := lake.files(table, version, must_be_read):
        listed = ", ".join("?" for _ in deliveries)
        rows = scan(files, lake.schema(table, version), partitions)
        query = f"SELECT DISTINCT day FROM ({rows}) WHERE delivery IN ({listed})"  # noqa: S608 (names are quoted)
        found |= {day for (day,) in con.execute(query, deliveries).fetchall()}
    return found


def _bounds(files: pa.Table, column: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return the lowest and the highest value of a column in each file, as the log says."""
    if f"partition.{column}" in files.column_names:
        return files[f"partition.{column}"], files[f"partition.{column}"]
    return files[f"min.{column}"], files[f"max.{column}"]
