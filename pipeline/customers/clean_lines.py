"""The clean invoice lines in the version of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.customers.domain import DOMAIN
from pipeline.lake import engine
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.training.spec import Run


def transactions_of(run: Run) -> tuple[Backend, ir.Table]:
    """Return an engine, and in it the clean table in the version of the run, else the newest."""
    con = engine.connect(run.settings)
    return con, engine.table(con, Lake(run.settings), DOMAIN.input_table, run.tables.get(DOMAIN.input_table))
