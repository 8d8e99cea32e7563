"""The commands that compare what could be a model, without registering any: study segments."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Table

from pipeline.cli.options import AsOf, Json
from pipeline.cli.output import number, print_result
from pipeline.domains import domain_of
from pipeline.errors import RefusedError
from pipeline.settings import load_settings


def segments(
    as_of: AsOf = None,
    set_aside: Annotated[
        bool, typer.Option("--set-aside-outliers", help="Leave outliers out of what is studied; they are listed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare spaces, algorithms and numbers of customer segments, and write a page. It takes minutes."""
    from pipeline.customers.study.steps import study_segments
    from pipeline.training import lifecycle

    settings, model = load_settings(), "customer_segments"
    domain = domain_of(model)
    known = lifecycle.known_days(settings, domain, model)
    if not known:
        table = domain.input_table
        raise RefusedError("There is nothing to study", where=table, todo=f"aisle ingest {table} --all")
    result = study_segments(settings, as_of or known[-1] + timedelta(days=1), set_aside=set_aside)
    shown = Table("space", "algorithm", *map(number, ("k", "silhouette", "in plain features", "stability")))
    shown.add_column("caution")
    for one in result["best"]:
        figures = (f"{one[name]:.3f}" for name in ("silhouette", "plain_silhouette", "stability"))
        shown.add_row(one["space"], one["algorithm"], str(one["k"]), *figures, one["caution"])
    shown.title = f"{result['customers']:,} customers, {result['seconds']} s, page {result['page']}"
    print_result(result, as_json, shown)
