"""How products are named on pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

MAX_NAME = 40


def read_product_names(con: Backend, transactions: ir.Table) -> dict[str, str]:
    """Stock code -> description.

    Notes on stock are typed in small letters and stand at adjustments; the first name in order is a printed one.
    """
    described = transactions.filter(transactions.kind == "sale", transactions.description.notnull())
    names = con.to_pandas(described.group_by("stock_code").agg(name=described.description.min()))
    return dict(zip(names["stock_code"], names["name"], strict=True))


def product_name(code: str, names: Mapping[str, str]) -> str:
    """A product's code and shortened description."""
    name = " ".join(names.get(code, "").split())
    return f"{code} {name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + '…'}".strip()
