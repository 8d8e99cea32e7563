"""`transactions`: one row an invoice line."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import Column, ColumnType, Contract


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:
    """Tell sales from returns and adjustments, and merchandise from postage, fees and manual entries."""
    adjustment = pc.or_kleene(pc.equal(rows["unit_price"], 0), pc.starts_with(rows["invoice"], "A"))
    kind = pc.case_when(pc.make_struct(adjustment, pc.less(rows["quantity"], 0)), "adjustment", "return", "sale")
    is_product = pc.match_substring_regex(rows["stock_code"], options["merchandise"])
    return rows.append_column("kind", kind).append_column("is_product", is_product)


TRANSACTIONS = Contract(
    table="transactions",
    columns=(
        Column("invoice", ColumnType.IDENTIFIER, "Invoice number; a cancellation starts with C, an adjustment with A"),
        Column("stock_code", ColumnType.IDENTIFIER, "Article number, or a code such as POST for what is no article"),
        Column("description", ColumnType.TEXT, "Article text", optional=True),
        Column("quantity", ColumnType.INTEGER, "Units; negative where goods come back"),
        Column("unit_price", ColumnType.NUMBER, "Price of one unit in the shop's currency"),
        Column("invoiced_at", ColumnType.TIMESTAMP, "When the line was rung up, wall clock of the shop"),
        Column("customer_id", ColumnType.IDENTIFIER, "Known customer; missing for a guest", optional=True),
        Column("country", ColumnType.TEXT, "Where the customer is", optional=True),
    ),
    derived=(pa.field("kind", pa.string()), pa.field("is_product", pa.bool_())),
    line_key=("invoice", "stock_code"),
    event_time="invoiced_at",
    derive=_derive,
    options={"merchandise": r"^\d{5}[A-Za-z]*$"},
)
