"""`transactions`: the lines of the invoices, one row a line."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import Column, ColumnType, Contract

MIN_MERCHANDISE = 0.05
"""The share of lines that are merchandise below which the option `merchandise` probably does not fit the shop."""
MIN_LINES = 20
"""Fewer lines than these are not enough to tell."""


def _warn(rows: pa.Table) -> list[str]:
    known = rows["is_product"].drop_null()
    products = pc.sum(known).as_py() or 0
    if len(known) < MIN_LINES or products >= MIN_MERCHANDISE * len(known):
        return []
    return [
        f"only {products:,} of {len(known):,} lines are merchandise, and only these count as products in the features: "
        "check options.merchandise in sources.yaml against the stock codes, or leave it out if all are articles"
    ]


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:
    """Classify lines as sale, return or adjustment, and as merchandise or other (postage, fees, manual entries)."""
    adjustment = pc.or_kleene(pc.equal(rows["unit_price"], 0), pc.starts_with(rows["invoice"], "A"))
    kind = pc.case_when(pc.make_struct(adjustment, pc.less(rows["quantity"], 0)), "adjustment", "return", "sale")
    codes = rows["stock_code"].combine_chunks().dictionary_encode()
    is_product = pc.match_substring_regex(codes.dictionary, options["merchandise"]).take(codes.indices)
    return rows.append_column("kind", kind).append_column("is_product", is_product)


TRANSACTIONS = Contract(
    table="transactions",
    columns=(
        Column("invoice", ColumnType.IDENTIFIER, "Invoice number; a cancellation starts with C, an adjustment with A"),
        Column("stock_code", ColumnType.IDENTIFIER, "Article number, or a code such as POST for other lines"),
        Column("description", ColumnType.TEXT, "Article text", optional=True),
        Column("quantity", ColumnType.INTEGER, "Units; negative for returns"),
        Column("unit_price", ColumnType.NUMBER, "Price of one unit in the shop's currency"),
        Column("invoiced_at", ColumnType.TIMESTAMP, "Time of the sale, local time of the shop"),
        Column("customer_id", ColumnType.IDENTIFIER, "Known customer; missing for a guest", optional=True),
        Column("country", ColumnType.TEXT, "Country of the customer", optional=True),
    ),
    derived=(pa.field("kind", pa.string()), pa.field("is_product", pa.bool_())),
    line_key=("invoice", "stock_code"),
    event_time="invoiced_at",
    derive=_derive,
    options={"merchandise": ""},  # matches every code
    warn=_warn,
    warn_columns=("is_product",),
    measures={"line_total": "quantity * unit_price"},
)
