"""`visits`: the visits of people, whether they bought or not, one row a person and day."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.contracts.contract import Column, ColumnType, Contract

DEMOGRAPHICS = (
    Column("sex", ColumnType.INTEGER, "0 male, 1 female", optional=True),
    Column("marital_status", ColumnType.INTEGER, "0 single, 1 not single", optional=True),
    Column("age", ColumnType.INTEGER, "Years", optional=True),
    Column("education", ColumnType.INTEGER, "0 other, 1 high school, 2 university, 3 graduate school", optional=True),
    Column("income", ColumnType.NUMBER, "Yearly income in the shop's currency", optional=True),
    Column(
        "occupation", ColumnType.INTEGER, "0 none or unskilled, 1 skilled, 2 management or self-employed", optional=True
    ),
    Column("settlement_size", ColumnType.INTEGER, "0 small, 1 mid-sized, 2 big", optional=True),
)


def _derive(rows: pa.Table, options: Mapping[str, str]) -> pa.Table:
    """Make "no brand" null, and derive plain columns from the price map, which expectation suites cannot check."""
    none = pc.match_substring_regex(rows["brand"], options["no_brand"])
    brand = pc.if_else(pc.fill_null(none, False), pa.scalar(None, pa.string()), rows["brand"])
    rows = rows.set_column(rows.schema.get_field_index("brand"), "brand", brand)
    lowest = highest = paid = pa.chunked_array([pa.nulls(rows.num_rows, pa.float64())])
    for name in _keys(rows["price"]):
        price = pc.map_lookup(rows["price"], pa.scalar(name), "first")
        lowest, highest = pc.min_element_wise(lowest, price), pc.max_element_wise(highest, price)
        paid = pc.if_else(pc.fill_null(pc.equal(brand, name), False), price, paid)
    return (
        rows.append_column("lowest_price", lowest)
        .append_column("highest_price", highest)
        .append_column("brand_price", paid)
    )


def _keys(maps: pa.ChunkedArray) -> list[str]:
    found = {key for chunk in maps.chunks for key in pc.unique(chunk.keys).to_pylist()}
    return sorted(key for key in found if key is not None)


VISITS = Contract(
    table="visits",
    columns=(
        Column("person", ColumnType.IDENTIFIER, "Identifier of the person"),
        Column("day", ColumnType.DATE, "Day of the visit"),
        Column("bought", ColumnType.BOOLEAN, "Whether the person bought something"),
        Column("brand", ColumnType.IDENTIFIER, "Brand bought, by the name that the price columns use"),
        Column("quantity", ColumnType.INTEGER, "Units bought; 0 or missing for none"),
        Column("last_brand", ColumnType.IDENTIFIER, "As the source gives it; not used by the features", optional=True),
        Column("last_quantity", ColumnType.INTEGER, "As the source gives it; not used by the features", optional=True),
        Column(
            "price",
            ColumnType.NUMBER,
            "Price of each brand that day; missing if not on offer",
            per="brand",
        ),
        Column("promotion", ColumnType.BOOLEAN, "Whether each brand was on promotion", optional=True, per="brand"),
        *DEMOGRAPHICS,
    ),
    derived=(
        pa.field("lowest_price", pa.float64()),
        pa.field("highest_price", pa.float64()),
        pa.field("brand_price", pa.float64()),
    ),
    line_key=("person",),
    event_time="day",
    derive=_derive,
    options={"no_brand": "^0$"},
)
