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
from pipeline.lake import engine
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def current_rows(con: Backend, lake: Lake, contract: Contract, days: list[date]) -> pa.Table:
    """Compute the rows of the clean table on some days from all rows that were received for them."""
    first, last = min(days), max(days)
    rows = engine.table(
        con,
        lake,
        received_table(contract.table),
        keep=lambda file: file["num_records"] and file["min.day"] <= last and file["max.day"] >= first,
    )
    rows = rows.filter(rows.day.isin(days))
    deliveries = rows.aggregate(deliveries=rows.speaker.nunique()).to_pyarrow()["deliveries"][0].as_py()
    if deliveries > 1:
        rows = resolve_overlaps(rows, contract)
    return rows.select(contract.schema.names).order_by("day", "delivery", "row").to_pyarrow().cast(contract.schema)


def resolve_overlaps(received: ir.Table, contract: Contract) -> ir.Table:
    """Keep, of the deliveries that hold the same line of the same day, the rows of the newest one.

    A line is identified by the contract's `line_key`; a delivery may hold several rows of it, which all stay.
    """
    newest_first = ibis.window(
        group_by=["day", *contract.line_key], order_by=[received.spoken_at.desc(), received.speaker.desc()]
    )
    return received.mutate(rank=ibis.dense_rank().over(newest_first)).filter(lambda t: t["rank"] == 0)


def days_of(con: Backend, lake: Lake, table: str, deliveries: list[str]) -> set[date]:
    """Return the days on which a table has rows of some deliveries; none if the table does not exist."""
    if not lake.exists(table):
        return set()

    def may_have(file: Mapping[str, Any]) -> bool:
        if "partition.delivery" in file:
            return file["partition.delivery"] in deliveries
        return bool(file["num_records"]) and any(file["min.delivery"] <= d <= file["max.delivery"] for d in deliveries)

    rows = engine.table(con, lake, table, keep=may_have)
    found = rows.filter(rows.delivery.isin(deliveries)).select("day").distinct().to_pyarrow()
    return set(found["day"].to_pylist())
