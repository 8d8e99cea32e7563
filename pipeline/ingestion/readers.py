"""A delivery's bytes as rows of text: CSV, XLSX and Parquet, plain, gzipped or in a zip archive.

Every file format is read as text, so that the same rows give the same table whatever format they came in; types are
given by `pipeline.ingestion.mapping`. A fault of the whole delivery raises `RefusedError`; a fault of one row is
reported with the row.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.errors import AisleError, RefusedError
from pipeline.ingestion.csv_reader import read_csv
from pipeline.ingestion.isolation import read_apart, unreadable
from pipeline.ingestion.limits import refuse_columns, refuse_size
from pipeline.ingestion.rows import Rows, empty_delivery, refuse_repeated_columns
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.unpacking import unpack
from pipeline.settings import MAX_DELIVERY_BYTES


def read_rows(data: bytes, name: str, form: Format, max_bytes: int = MAX_DELIVERY_BYTES) -> Rows:
    """Read a delivery.

    Args:
        data: its bytes as they were landed.
        name: its file name, for messages and to recognise `.gz` and `.zip`.
        form: its file format as `sources.yaml` describes it.
        max_bytes: how many bytes it may have when it is unpacked.

    Raises:
        RefusedError: if it is empty, truncated, too large, has another encoding or delimiter than described, a column
            twice, is a workbook of several sheets of which none is named, or a zip archive of several files; and
            whatever else goes wrong while it is read.
    """
    try:
        return _read(data, name, form, max_bytes)
    except AisleError:
        raise
    except Exception as error:
        # No check can foresee all that a parser raises; whatever it is, it concerns this delivery alone.
        raise unreadable(name, form.type, f"{type(error).__name__}: {error}") from error


def _read(data: bytes, name: str, form: Format, max_bytes: int) -> Rows:
    refuse_size(len(data), name, max_bytes)
    data, name = unpack(data, name, max_bytes)
    if not data or data.isspace():
        raise empty_delivery(name, f"{len(data)} bytes")
    if form.type == "csv":
        rows = read_csv(data, name, form)
    else:
        table = read_apart(form.type, data, name, max_bytes, form.sheet)
        rows = Rows(table, pa.array(range(1, table.num_rows + 1), pa.int64()))
    refuse_columns(rows.table.num_columns, name)
    refuse_repeated_columns(rows.table.column_names, name)
    if rows.total_rows == 0:
        raise RefusedError(
            "The delivery has a header and no rows",
            where=name,
            observed="0 rows",
            allowed="at least one row",
            todo="ask the source to send it again; if the shop was shut, add the weekday to closed_on in sources.yaml",
        )
    return rows
