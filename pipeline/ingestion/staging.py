"""The rows of a delivery on local disk while it is checked, so that memory does not grow with the delivery.

A delivery passes through memory in batches. What needs all rows at once asks the engine, which reads them from here and
spills; what needs a few of them again, such as the quarantine, reads just these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from shutil import rmtree
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ingestion.rows import NO_ROWS, Numbers, Rows, within
from pipeline.lake import sql
from pipeline.lake.scratch import scratch_path

if TYPE_CHECKING:
    import duckdb


class Stage:
    """The rows of one delivery in temporary files: as they were delivered, and typed.

    Its context removes the files. Rows are added batch by batch; `seal` ends that, and then they can be read.
    """

    def __init__(self, engine: sql.Engine) -> None:
        self._engine = engine
        self._open = ExitStack()
        folder = scratch_path("stage")
        folder.mkdir(mode=0o700)
        self._open.callback(rmtree, folder, ignore_errors=True)
        self._typed_path = folder / "typed.parquet"
        self._text_file = self._open.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115 (closed with this object)
        self._text: pa.RecordBatchFileWriter | None = None
        self._typed: pq.ParquetWriter | None = None
        self._text_numbers: list[Numbers] = []
        self._con: duckdb.DuckDBPyConnection | None = None
        self._excluded = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        # Arrow keeps what the batches took; the clean table is written next, by code that has memory of its own.
        pa.default_memory_pool().release_unused()

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """A connection of the engine, opened when it is first needed."""
        if self._con is None:
            self._con = self._open.enter_context(self._engine.connection())
        return self._con

    def add(self, text: Rows, typed: pa.Table) -> None:
        """Add a batch of rows, as they were delivered and typed."""
        if self._text is None or self._typed is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._text = pa.ipc.new_file(self._text_file, text.table.schema, options=options)
            # The rows are read twice at most, so that what makes reading faster costs more than it saves.
            self._typed = pq.ParquetWriter(
                self._typed_path, typed.schema, compression="lz4", use_dictionary=False, write_statistics=False
            )
        self.rows += typed.num_rows
        self._typed.write_table(typed)
        for batch in text.table.combine_chunks().to_batches():
            self._text.write_batch(batch)
            self._text_numbers.append(text.numbers.to_numpy(zero_copy_only=False))

    def seal(self) -> None:
        """End the files, so that they can be read."""
        for writer in (self._text, self._typed):
            if writer is not None:
                writer.close()
        # Arrow keeps what the batches took; the tables are written next, and by code that has memory of its own.
        pa.default_memory_pool().release_unused()

    @property
    def schema(self) -> pa.Schema:
        """The columns of the typed rows."""
        return pa.schema(pq.read_schema(self._typed_path))

    def text_of(self, numbers: Numbers) -> Iterator[Rows]:
        """Read some rows as they were delivered, in order."""
        if not len(numbers):
            return
        self._text_file.seek(0)
        source = pa.ipc.open_file(self._text_file)
        for position, present in enumerate(self._text_numbers):
            wanted = np.isin(present, within(numbers, present))
            if wanted.any():
                batch = source.get_batch(position).filter(pa.array(wanted))
                yield Rows(pa.Table.from_batches([batch]), pa.array(present[wanted]))

    def typed(self, without: Numbers = NO_ROWS, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Read the typed rows, or some of their columns, batch by batch and in order, without some of the rows."""
        names = None if columns is None else [*columns, "row"]
        with pq.ParquetFile(self._typed_path) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=names)
                present = rows["row"].to_numpy()
                removed = np.isin(present, within(without, present))
                kept = rows.filter(pa.array(~removed)) if removed.any() else rows
                yield kept if columns is None else kept.select(columns)

    def table(self, without: Numbers = NO_ROWS, columns: list[str] | None = None) -> pa.Table:
        """Read the typed rows into memory: few columns, or where there is no other way."""
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        return pa.concat_tables([schema.empty_table(), *self.typed(without, columns)])

    def relation(self, without: Numbers = NO_ROWS) -> str:
        """Return the typed rows without some of them as a query of the engine."""
        rows = sql.scan([str(self._typed_path)], self.schema)
        if not len(without):
            return rows
        self._excluded += 1
        name = f"excluded_{self._excluded}"
        self.con.register(name, pa.table({"number": without}))
        return f"SELECT * FROM ({rows}) AS typed ANTI JOIN {name} ON typed.row = {name}.number"  # noqa: S608

    def one(self, query: str) -> dict[str, Any]:
        """Run a query of one row and return it by column."""
        (row,) = self.con.execute(query).to_arrow_table().to_pylist()
        return dict(row)
