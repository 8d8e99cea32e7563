"""A Parquet file as columns of text."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RefusedError
from pipeline.ingestion.limits import refuse_cells, refuse_size

BYTES_PER_BYTE, BYTES_PER_CELL = 8, 48
"""How much memory reading takes at most, for each unpacked byte and each cell."""
MAX_EXACT_INTEGER = 2**53
"""The largest number up to which a float holds every whole number exactly."""


def read_parquet(data: bytes, name: str, max_bytes: int, allow: Callable[[int], None]) -> pa.Table:
    """Read a Parquet file.

    Args:
        data: its bytes.
        name: its file name, for messages.
        max_bytes: how many bytes it may have when it is unpacked.
        allow: is told how much memory the file may need, in bytes, before its rows are read.

    Returns:
        Its columns as text.

    Raises:
        RefusedError: if it is damaged or truncated, has text that is not UTF-8, or is too large.
    """
    try:
        # Arrow limits what the metadata itself may hold.
        metadata = pq.read_metadata(io.BytesIO(data))
        refuse_cells(metadata.num_rows, metadata.num_columns, len(data), name)
        groups = [metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups)]
        unpacked = sum(max(size, 0) for size in groups)
        refuse_size(unpacked, name, max_bytes)
        allow(BYTES_PER_BYTE * unpacked + BYTES_PER_CELL * max(metadata.num_rows, 0) * metadata.num_columns)
        table = pq.read_table(io.BytesIO(data), page_checksum_verification=True)
        text = pa.table([_column_text(column) for column in table.columns], table.column_names)
        text.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise RefusedError(
            "The delivery is not readable as Parquet, or ends early",
            where=name,
            observed=str(error),
            todo="ask the source to send it again",
        ) from error
    return text


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
