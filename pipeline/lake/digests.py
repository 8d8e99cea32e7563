"""A digest of rows that does not depend on their order, so that a table can be compared with what was written to it."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc


def rows_digest(rows: pa.Table) -> str:
    """Return a digest of a table's rows: the sum of their hashes, in hexadecimal.

    It depends on the order of the columns but not on their names, so that a renamed column changes nothing.
    """
    import numpy as np
    import pandas as pd

    if not rows.num_rows:
        return f"{0:016x}"
    columns = {str(number): _plain(column).to_pandas() for number, column in enumerate(rows.itercolumns())}
    hashes = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy()
    return f"{int(np.add.reduce(hashes, dtype=np.uint64)):016x}"


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as numbers or text, without nulls: types that differ between writing and reading are alike then."""
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.fill_null(column.cast(pa.float64()), float("nan"))
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pa.chunked_array([[json.dumps(value, default=str) for value in column.to_pylist()]], pa.string())
    return pc.fill_null(column.cast(pa.string()), "\0")
