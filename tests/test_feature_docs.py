"""docs/features.md has every column of every feature table with a unit and a formula, and no other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from pipeline.contracts import CONTRACTS
from pipeline.customers.features import FEATURE_COLUMNS as CUSTOMER_COLUMNS
from pipeline.customers.features import customer_features
from pipeline.footfall.features import footfall_features
from pipeline.shoppers.features import shopper_features, visit_features
from pipeline.stores.features import COLUMNS as STORE_COLUMNS
from pipeline.stores.features import KEY_COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "features.md"
AS_OF, BRANDS = date(2025, 1, 1), ("1", "2")
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$")


def clean(table: str) -> ibis.Table:
    """An empty clean table; columns of feature tables are known without running a query."""
    return ibis.table(ibis.Schema.from_pyarrow(CONTRACTS[table].schema), name=table)


def columns_of_the_code(table: str) -> set[str]:
    match table:
        case "customer_features":
            features = customer_features(clean("transactions"), AS_OF, home_country="France")
            assert set(CUSTOMER_COLUMNS) <= set(features.columns)
            return set(features.columns)
        case "shopper_features":
            future = shopper_features(clean("visits"), AS_OF, BRANDS)
            return {*future.columns, *visit_features(clean("visits"), AS_OF, BRANDS).columns}
        case "footfall_features":
            # The step that writes the table adds the key.
            return {*footfall_features(clean("footfall"), AS_OF).columns, "number", "as_of"}
        case _:
            return {*KEY_COLUMNS, *STORE_COLUMNS}


def documented(table: str) -> list[tuple[str, str, str]]:
    """Column, unit and formula of each row of a table's section."""
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith((f"`{table}`", table))]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    rows = [ROW.match(line) for line in lines]
    assert all(rows), [line for line, row in zip(lines, rows, strict=True) if not row]
    return [(row[1], row[2].strip(), row[3].strip()) for row in rows if row]


@pytest.mark.parametrize(
    "table", ["customer_features", "shopper_features", "footfall_features", "Features of store days"]
)
def test_every_column_is_documented_with_unit_and_formula_and_no_other(table: str) -> None:
    rows = documented(table)
    names: Sequence[str] = [name for name, _, _ in rows]
    assert len(names) == len(set(names)), "a column is documented twice"
    assert set(names) == columns_of_the_code(table)
    assert all(unit and formula for _, unit, formula in rows)


def test_line_kinds_and_products_are_as_documented() -> None:
    rows = pa.table(
        {
            "invoice": ["1", "C2", "A3", "4", "5"],
            "stock_code": ["85123A", "85123A", "B", "22222", "POST"],
            "quantity": pa.array([2, -1, 1, 1, 1], pa.int64()),
            "unit_price": [1.5, 1.5, 9.0, 0.0, 18.0],
        }
    )
    derived = CONTRACTS["transactions"].derive(rows, {"merchandise": r"^\d{5}[A-Za-z]*$"})
    assert derived["kind"].to_pylist() == ["sale", "return", "adjustment", "adjustment", "sale"]
    assert derived["is_product"].to_pylist() == [True, True, False, True, False]
    without_option = CONTRACTS["transactions"].derive(rows, CONTRACTS["transactions"].options)
    assert without_option["is_product"].to_pylist() == [True] * 5
