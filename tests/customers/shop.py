"""Invoice lines for tests of the customers' domain: of the simulated shop, and by hand."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from pipeline.contracts import CONTRACTS

NAMES = {
    "InvoiceNo": "invoice",
    "StockCode": "stock_code",
    "Description": "description",
    "Quantity": "quantity",
    "InvoiceDate": "invoiced_at",
    "UnitPrice": "unit_price",
    "CustomerID": "customer_id",
    "Country": "country",
}
"""Columns of the simulated shop's deliveries -> those of the clean table."""


def clean(sold: pa.Table) -> ir.Table:
    """Lines of the simulated shop as the clean table."""
    renamed = sold.rename_columns(NAMES)
    return ibis.memtable(CONTRACTS["transactions"].derive(renamed, {"merchandise": r"^\d{5}[A-Z]?$"}))


def line(
    customer: str | None, invoice: str, on: date, quantity: int = 1, product: str = "x", **values: Any
) -> dict[str, Any]:
    """A line of a product at a price of 2; a negative quantity is a return."""
    return {
        "customer_id": customer,
        "invoice": invoice,
        "stock_code": product,
        "quantity": quantity,
        "unit_price": 2.0,
        "invoiced_at": datetime.combine(on, datetime.min.time()),
        "country": "United Kingdom",
        "is_product": True,
        "kind": "sale" if quantity > 0 else "return",
    } | values


def table(lines: list[dict[str, Any]]) -> ir.Table:
    """Lines by hand as the clean table, as far as the domain reads it."""
    return ibis.memtable(pd.DataFrame(lines).astype({"customer_id": "string", "country": "string"}))


def until(transactions: ir.Table, day: date) -> ir.Table:
    """The history cut at a day."""
    return transactions.filter(transactions.invoiced_at < ibis.timestamp(datetime.combine(day, datetime.min.time())))
