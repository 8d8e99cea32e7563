"""What the night kept of customers, for the prediction service: tables in memory, found by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date


class Kept:
    """Rows of a table, found by a column that is unique. They stay in Arrow, which needs little memory for a million.

    Args:
        rows: the table.
        key: the column.
    """

    def __init__(self, rows: pa.Table, key: str) -> None:
        # Arrow orders by the bytes of UTF-8 and Numpy by code points, which is the same order.
        order = pc.sort_indices(rows[key])
        self._rows = rows.take(order).combine_chunks()
        self._keys = np.asarray(self._rows[key].to_numpy(zero_copy_only=False), dtype=str)

    def __len__(self) -> int:
        return len(self._keys)

    def first(self) -> str | None:
        """The first key; None without rows."""
        return str(self._keys[0]) if len(self._keys) else None

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of a key; None if there is none."""
        at = int(np.searchsorted(self._keys, key))
        if at == len(self._keys) or self._keys[at] != key:
            return None
        row: dict[str, Any] = self._rows.slice(at, 1).to_pylist()[0]
        return row

    def get_all(self, keys: Sequence[str]) -> list[dict[str, Any] | None]:
        """The row of each key; None where there is none. All are found at once, which is faster than one by one."""
        if not len(self._keys):
            return [None] * len(keys)
        at = np.minimum(np.searchsorted(self._keys, np.asarray(keys, dtype=str)), len(self._keys) - 1)
        # Compared one by one as Python's texts: Numpy's end at a null character.
        known = [name == key for name, key in zip(self._keys[at].tolist(), keys, strict=True)]
        rows = iter(self._rows.take(pa.array(at[np.array(known, dtype=bool)])).to_pylist())
        return [next(rows) if found else None for found in known]


def newest(lake: Lake, table: str) -> date | None:
    """The newest as-of day of a table; None if the night has not filled it yet."""
    days = lake.days(table) if lake.exists(table) else []
    return days[-1] if days else None


def read_day(lake: Lake, table: str, as_of: date | None) -> pa.Table | None:
    """The rows of a day; None if the table does not exist or lacks the day."""
    if as_of is None or not lake.exists(table) or as_of not in lake.days(table):
        return None
    return lake.read(table, where={"as_of": [as_of]})


def state_of(lake: Lake, tables: tuple[str, ...]) -> str:
    """A name that changes whenever one of the tables does."""
    return "; ".join(f"{table} {lake.version(table) if lake.exists(table) else '-'}" for table in tables)
