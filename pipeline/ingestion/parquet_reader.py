"""A Parquet file as rows of text."""

from __future__ import annotations

import io
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RefusedError
from pipeline.ingestion.rows import Rows

MAX_EXACT_INTEGER = 2**53
"""The largest number up to which a float holds every whole number exactly."""


def read_parquet(data: bytes, name: str) -> Rows:
    """Read a Parquet file.

    Args:
        data: its bytes.
        name: its file name, for messages.

    Raises:
        RefusedError: if it is damaged or truncated.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
        text = [_column_text(column) for column in table.columns]
    except (pa.ArrowException, OSError) as error:
        raise RefusedError(
            "The delivery is not readable as Parquet, or ends early",
            where=name,
            observed=str(error),
            todo="ask the source to send it again",
        ) from error
    return Rows(pa.table(text, table.column_names), pa.array(range(1, table.num_rows + 1), pa.int64()))


def _column_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        # Whole seconds are written without a fraction, as a CSV has them; no table is finer than microseconds.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        with suppress(pa.ArrowInvalid):
            column = column.cast(pa.timestamp("s", column.type.tz))
    text = column.cast(pa.string())
    if pa.types.is_floating(column.type):
        # Arrow writes 12345678901.0 as 1.2345678901e+10, which is no identifier.
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), MAX_EXACT_INTEGER))
        text = pc.if_else(whole, pc.if_else(whole, column, None).cast(pa.int64()).cast(pa.string()), text)
        # Writers without nulls write NaN for a missing number; it must not become the customer "nan".
        text = pc.if_else(pc.is_nan(column), None, text)
    return pc.if_else(pc.equal(text, ""), None, text)
