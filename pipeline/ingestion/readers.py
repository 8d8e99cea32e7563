"""A delivery's bytes as rows of text: CSV, XLSX and Parquet, plain, gzipped or in a zip archive.

Every file format is read as text, so that the same rows give the same table whatever format they came in; types are
given by `pipeline.ingestion.mapping`. A fault of the whole delivery raises `RefusedError`; a fault of one row is
reported with the row.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from typing import BinaryIO, Literal

import pyarrow as pa

from pipeline.errors import AisleError, RefusedError
from pipeline.ingestion.csv_reader import read_csv
from pipeline.ingestion.isolation import read_apart, unreadable
from pipeline.ingestion.limits import refuse_columns, refuse_size
from pipeline.ingestion.rows import BATCH_ROWS, Rows, empty_delivery, refuse_repeated_columns
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.unpacking import unpack
from pipeline.settings import MAX_DELIVERY_BYTES

FULL = (errno.ENOSPC, errno.EDQUOT)


def read_batches(stream: BinaryIO, name: str, form: Format, max_bytes: int = MAX_DELIVERY_BYTES) -> Iterator[Rows]:
    """Read a delivery batch by batch.

    A fault of the whole delivery may be found after its first batches were returned, so nothing may be kept of them
    before the last one.

    Args:
        stream: its bytes as they were landed; it can be read again from any place.
        name: its file name, for messages and to recognise `.gz` and `.zip`.
        form: its file format as `sources.yaml` describes it.
        max_bytes: how many bytes it may have when it is unpacked.

    Returns:
        At least one batch, all of the same columns, each of at most `BATCH_ROWS` rows.

    Raises:
        RefusedError: if it is empty, truncated, too large, has another encoding or delimiter than described, a column
            twice, is a workbook of several sheets of which none is named, or a zip archive of several files; and
            whatever else goes wrong while it is read.
    """
    try:
        yield from _read(stream, name, form, max_bytes)
    except AisleError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            # The disk of temporary files is full, which is no fault of the delivery.
            raise
        # No check can foresee all that a parser raises; whatever it is, it concerns this delivery alone.
        raise unreadable(name, form.type, f"{type(error).__name__}: {error}") from error


def read_rows(data: bytes, name: str, form: Format, max_bytes: int = MAX_DELIVERY_BYTES) -> Rows:
    """Read a small file into memory as a whole; see `read_batches`."""
    batches = list(read_batches(io.BytesIO(data), name, form, max_bytes))
    return Rows(
        pa.concat_tables([batch.table for batch in batches]),
        pa.concat_arrays([batch.numbers for batch in batches]),
        tuple(line for batch in batches for line in batch.malformed),
    )


def _read(stream: BinaryIO, name: str, form: Format, max_bytes: int) -> Iterator[Rows]:
    refuse_size(stream.seek(0, io.SEEK_END), name, max_bytes)
    stream.seek(0)
    stream, name = unpack(stream, name, max_bytes)
    if form.type == "csv":
        batches = read_csv(stream, name, form)
    else:
        batches = _read_apart(stream, name, form, form.type, max_bytes)
    total = 0
    for batch in batches:
        if not total:
            refuse_columns(batch.table.num_columns, name)
            refuse_repeated_columns(batch.table.column_names, name)
        total += batch.total_rows
        yield batch
    if not total:
        raise RefusedError(
            "The delivery has a header and no rows",
            where=name,
            observed="0 rows",
            allowed="at least one row",
            todo="ask the source to send it again; if the shop was shut, add the weekday to closed_on in sources.yaml",
        )


def _read_apart(
    stream: BinaryIO, name: str, form: Format, kind: Literal["xlsx", "parquet"], max_bytes: int
) -> Iterator[Rows]:
    """Read a workbook or Parquet file, which is parsed as a whole."""
    data = stream.read()
    if not data or data.isspace():
        raise empty_delivery(name, f"{len(data)} bytes")
    table = read_apart(kind, data, name, max_bytes, form.sheet)
    del data
    numbers = pa.array(range(1, table.num_rows + 1), pa.int64())
    for start in range(0, max(table.num_rows, 1), BATCH_ROWS):
        yield Rows(table.slice(start, BATCH_ROWS), numbers.slice(start, BATCH_ROWS))
