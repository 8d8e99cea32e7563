"""Exact repeats: rows that equal an earlier row of their delivery in every column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingestion.mapping import ROW
from pipeline.ingestion.rows import NO_ROWS, Numbers, Rows, union
from pipeline.ingestion.staging import Stage

if TYPE_CHECKING:
    import duckdb

MAX_COMPARED = 1_000_000
"""How many rows are compared in memory at once."""
LAST_BITS = 20
MASK = np.uint64((1 << LAST_BITS) - 1)


class RepeatFinder:
    """Finds the exact repeats of a delivery: by a hash of each row first, and then among those whose hash is not alone.

    Eight bytes a row stay in memory.
    """

    def __init__(self) -> None:
        self._hashes: list[npt.NDArray[np.uint64]] = []
        self._numbers: list[Numbers] = []

    def add(self, rows: Rows, con: duckdb.DuckDBPyConnection) -> None:
        """Add a batch of rows."""
        names = [f"c{position}" for position in range(rows.table.num_columns)]
        batch = rows.table.rename_columns(names)
        con.register("batch", batch)
        hashes = con.execute(f"SELECT hash({', '.join(names)}) AS h FROM batch").to_arrow_table()  # noqa: S608
        con.unregister("batch")
        self._hashes.append(hashes["h"].to_numpy())
        self._numbers.append(rows.numbers.to_numpy(zero_copy_only=False))

    def find(self, stage: Stage) -> Numbers:
        """Return the numbers of the repeats."""
        if not self._hashes:
            return NO_ROWS
        ordered = np.concatenate(self._hashes)
        ordered.sort()
        shared = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        del ordered
        if not len(shared):
            return NO_ROWS
        alike = [_is_among(part, shared) for part in self._hashes]
        hashes, numbers = (
            np.concatenate([part[mask] for part, mask in zip(parts, alike, strict=True)])
            for parts in (self._hashes, self._numbers)
        )
        parts = -(-len(numbers) // MAX_COMPARED)
        # Rows that are equal have the same hash, so they are in the same part.
        pieces = (numbers[hashes % np.uint64(parts) == part] for part in range(parts))
        return union(*(self._exact(stage, piece) for piece in pieces))

    @staticmethod
    def _exact(stage: Stage, numbers: Numbers) -> Numbers:
        found = list(stage.text_of(numbers))
        if not found:
            return NO_ROWS
        table = pa.concat_tables([rows.table for rows in found])
        return exact_repeats(Rows(table, pa.concat_arrays([rows.numbers for rows in found])))


def _is_among(hashes: npt.NDArray[np.uint64], shared: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Tell which hashes are among some that are in order."""
    # A search takes ten times as long as to look up the last bits, which leave few hashes to be searched.
    last_bits = np.zeros(1 << LAST_BITS, np.bool_)
    last_bits[shared & MASK] = True
    found: npt.NDArray[np.bool_] = last_bits[hashes & MASK]
    candidates = hashes[found]
    found[found] = shared[np.minimum(np.searchsorted(shared, candidates), len(shared) - 1)] == candidates
    return found


def exact_repeats(rows: Rows) -> Numbers:
    """Return the numbers of the rows that equal an earlier row in every column."""
    names = [str(position) for position in range(rows.table.num_columns)]
    first = (
        rows.table.rename_columns(names)
        .append_column(ROW, rows.numbers)
        .group_by(names, use_threads=False)
        .aggregate([(ROW, "min")])
        .column(f"{ROW}_min")
    )
    if len(first) == rows.table.num_rows:
        return NO_ROWS
    repeated = pc.invert(pc.is_in(rows.numbers, value_set=first.combine_chunks()))
    return union(rows.numbers.filter(repeated).to_numpy(zero_copy_only=False))
