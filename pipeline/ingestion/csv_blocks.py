"""CSV split into rows, block by block: the rows that fit the header, and the lines that do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from pipeline.errors import RefusedError
from pipeline.ingestion.rows import BATCH_ROWS, Malformed, Rows, empty_delivery
from pipeline.ingestion.source_schema import Format

MAX_ROW_BYTES = 1 << 26
BLOCK_BYTES = 1 << 23
"""How much is read at once. Larger blocks take more memory and more time, since memory that is new to the process costs
more than to split what is in it; but a block must hold the longest row."""
MAX_MALFORMED = 1_000_000
"""How many lines may have the wrong number of fields. Each is kept as an object, which takes far more memory than two
bytes of a file."""
SENTINEL = "\x1eend of delivery\x1e"
"""A line added at the end. If it is not read as a line of its own, the delivery ends inside a quoted field."""


@dataclass(frozen=True)
class Text:
    """What is known of a whole file before it is split: whether its last line has an end, whether it has quotes."""

    ended: bool
    quoted: bool
    tail: bytes


@dataclass(frozen=True)
class Batch:
    """A batch of rows, the lines that could not be split since the batch before, and the rows before both."""

    table: pa.Table
    malformed: list[Malformed]
    before: int

    @property
    def end(self) -> int:
        """The number of the last row."""
        return self.before + int(self.table.num_rows) + len(self.malformed)

    def after(self, row: int) -> Batch | None:
        """Return the part of the batch after a row; None if that is nothing."""
        if self.end <= row:
            return None
        lines = [line for line in self.malformed if line.row > row]
        known = max(row - self.before, 0)
        return Batch(self.table.slice(known - (len(self.malformed) - len(lines))), lines, self.before + known)

    def rows(self) -> Rows:
        """The batch with the number of each row."""
        numbers = np.arange(self.before + 1, self.end + 1)
        if self.malformed:
            numbers = np.delete(numbers, [line.row - self.before - 1 for line in self.malformed])
        return Rows(self.table, pa.array(numbers, pa.int64()), tuple(self.malformed))


def split(copy: IO[bytes], text: Text, name: str, form: Format) -> Iterator[Batch]:
    """Split a file into rows, batch by batch; the first batch may be empty."""
    end = -1
    try:
        for batch in _blocks(copy, text, name, form, BLOCK_BYTES):
            end = batch.end
            yield batch
    except pa.ArrowInvalid:
        # A row may be longer than a block. Those before it were returned already.
        copy.seek(0)
        for batch in _blocks(copy, text, name, form, MAX_ROW_BYTES):
            if (rest := batch.after(end)) is not None:
                yield rest


def _blocks(copy: IO[bytes], text: Text, name: str, form: Format, block_bytes: int) -> Iterator[Batch]:
    """Split a file into rows by blocks of some size.

    Raises:
        pyarrow.ArrowInvalid: if it cannot be split, but could with larger blocks.
        RefusedError: if it cannot be split at all.
    """
    malformed: list[Malformed] = []
    noted = 0

    def note(row: csv.InvalidRow) -> str:
        nonlocal noted
        if noted == MAX_MALFORMED:
            return "error"
        noted += 1
        fault = f"{row.actual_columns} fields instead of {row.expected_columns}"
        malformed.append(Malformed(row.number - 1, row.text, fault))
        return "skip"

    first_malformed = ""
    before = 0
    try:
        reader = csv.open_csv(
            copy,
            # Arrow numbers rows only when it reads with one thread.
            read_options=csv.ReadOptions(use_threads=False, block_size=block_bytes),
            parse_options=csv.ParseOptions(
                delimiter=form.delimiter, newlines_in_values=text.quoted, invalid_row_handler=note
            ),
            convert_options=csv.ConvertOptions(
                default_column_type=pa.string(),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        if reader.schema.names == [SENTINEL]:
            raise empty_delivery(name, "no line")
        yield Batch(reader.schema.empty_table(), [], 0)
        for block in reader:
            for start in range(0, block.num_rows, BATCH_ROWS):
                table = pa.Table.from_batches([block.slice(start, BATCH_ROWS)])
                own = _lines_among(malformed, before, table.num_rows)
                first_malformed = first_malformed or _named(malformed)
                del malformed[: len(own)]
                batch = Batch(table, own, before)
                yield batch
                before = batch.end
    except pa.ArrowInvalid as error:
        if noted == MAX_MALFORMED:
            raise RefusedError(
                "Too many lines of the delivery have the wrong number of fields",
                where=name,
                observed=f"more than {MAX_MALFORMED:,}, the first in {first_malformed or _named(malformed)}",
                allowed=f"{MAX_MALFORMED:,}",
                todo="ask the source to put cells with separators in quotes, or set format.delimiter in sources.yaml",
            ) from error
        if block_bytes < MAX_ROW_BYTES:
            raise
        raise RefusedError(
            "The delivery is not readable as CSV",
            where=name,
            observed=str(error),
            allowed=f"rows of at most {MAX_ROW_BYTES} bytes, separated by {form.delimiter!r}",
        ) from error
    yield Batch(reader.schema.empty_table(), malformed, before)


def _named(malformed: list[Malformed]) -> str:
    return f"row {malformed[0].row}: {malformed[0].fault}" if malformed else ""


def _lines_among(malformed: list[Malformed], before: int, rows: int) -> list[Malformed]:
    """Return the lines among the next `rows` rows; lines are in order, and those after the rows are not returned."""
    count = 0
    while count < len(malformed) and malformed[count].row <= before + rows + count:
        count += 1
    return malformed[:count]
