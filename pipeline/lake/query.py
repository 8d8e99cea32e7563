"""An engine expression that is compiled once and run on the rows of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

ROWS = "rows"
"""Name of the registered table that the expression reads."""


class CompiledQuery:
    """A function from a table of rows to a result.

    Building and compiling the expression takes far longer than running it on a few rows.

    Args:
        schema: of the rows.
        expression: from the table of rows to the result.
    """

    def __init__(self, con: Backend, schema: pa.Schema, expression: Callable[[ir.Table], ir.Table]) -> None:
        built = expression(ibis.table(ibis.Schema.from_pyarrow(schema), ROWS))
        self._con, self._sql, self._schema = con.con, str(ibis.to_sql(built, dialect="duckdb")), built.schema()

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The result, cast to the expression's types (DuckDB's own may be wider)."""
        self._con.register(ROWS, rows)
        try:
            return self._con.execute(self._sql).to_arrow_table().cast(self._schema.to_pyarrow())
        finally:
            self._con.unregister(ROWS)
