"""How rows are written: the configuration of a table, the files of a commit, and what a commit records of its rows."""

from __future__ import annotations

import json
from typing import TypeAlias

import pyarrow as pa
from deltalake import ColumnProperties, PostCommitHookProperties, WriterProperties

from pipeline.lake.digests import rows_digest
from pipeline.lake.partitions import Partition

RowsOrBatches: TypeAlias = pa.Table | pa.RecordBatchReader
WHOLE = WriterProperties(compression="SNAPPY")
ROW_GROUP = 1 << 14
"""How many rows are written at once of those that arrive in batches."""
STREAMED = WriterProperties(
    compression="SNAPPY",
    max_row_group_size=ROW_GROUP,
    data_page_row_count_limit=1 << 11,
    write_batch_size=1 << 10,
    default_column_properties=ColumnProperties(statistics_enabled="CHUNK"),
    column_properties={"row": ColumnProperties(dictionary_enabled=False)},
)
"""How rows are written that arrive in batches: a row group that is not complete is in memory, for each partition, and
takes eight bytes a cell until its page is complete. Nothing reads statistics of pages; every row has another number."""

INPUTS = "aisle.inputs"
"""The entry of a commit that names the tables that its rows were made from."""
WRITTEN = "aisle.written"
"""The entry of a commit of one part of an as-of day: which part, how many rows, their columns, and their digest."""

CONFIGURATION = {
    # A table is opened from its last checkpoint and the commits since then, each of which takes a millisecond to read.
    "delta.checkpointInterval": "10",
    # Files are chosen by these columns alone. The log repeats what it says of a file for as long as the file is there,
    # so with all columns a table of a thousand files takes twice as long to open and to write.
    "delta.dataSkippingStatsColumns": "day,delivery",
}
"""With what a table is created."""
KEEP_LOG = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
"""By default Delta removes the commits before a checkpoint after 30 days, and with them the versions of a table that
registered models were trained on."""


def written_record(where: Partition, rows: RowsOrBatches) -> dict[str, str]:
    """What a commit records of the rows of an as-of day. Other tables can be compared with what they are made from."""
    if not isinstance(rows, pa.Table) or "as_of" not in where or any(len(values) != 1 for values in where.values()):
        return {}
    part = [str(where[column][0]) for column in sorted(where)]
    columns = sorted(rows.column_names)
    record = {"part": part, "rows": rows.num_rows, "columns": columns, "digest": rows_digest(rows.select(columns))}
    return {WRITTEN: json.dumps(record)}


def in_row_groups(rows: RowsOrBatches) -> RowsOrBatches:
    """Pass on rows in small batches, because Delta lets several of them wait for its writer."""
    if not isinstance(rows, pa.RecordBatchReader):
        return rows
    pieces = (batch.slice(start, ROW_GROUP) for batch in rows for start in range(0, batch.num_rows, ROW_GROUP))
    return pa.RecordBatchReader.from_batches(rows.schema, pieces)


def writer_properties(rows: RowsOrBatches) -> WriterProperties:
    """How the files of rows are written."""
    return WHOLE if isinstance(rows, pa.Table) else STREAMED
