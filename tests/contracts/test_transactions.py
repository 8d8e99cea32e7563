"""The contract of transactions: its schema and its derived columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contracts import CONTRACTS
from pipeline.contracts.transactions import TRANSACTIONS

UCI = {"merchandise": r"^\d{5}[A-Za-z]*$"}


def derived(options: Mapping[str, str] = TRANSACTIONS.options, **values: object) -> tuple[object, object]:
    """Kind and is_product of one line."""
    done = TRANSACTIONS.derive(lines(values), options)
    return done["kind"][0].as_py(), done["is_product"][0].as_py()


def lines(*changes: Mapping[str, object]) -> pa.Table:
    line = {
        "invoice": "536365",
        "stock_code": "85123A",
        "description": None,
        "quantity": 6,
        "unit_price": 2.55,
        "invoiced_at": dt.datetime(2010, 12, 1, 8, 26),
        "customer_id": None,
        "country": None,
    }
    names = [column.name for column in TRANSACTIONS.columns]
    schema = pa.schema([TRANSACTIONS.schema.field(name) for name in names])
    return pa.Table.from_pylist([line | change for change in changes], schema)


def test_the_columns_have_the_agreed_order() -> None:
    assert TRANSACTIONS.schema.names == [
        "invoice",
        "stock_code",
        "description",
        "quantity",
        "unit_price",
        "invoiced_at",
        "customer_id",
        "country",
        "kind",
        "is_product",
        "delivery",
        "row",
        "day",
    ]
    assert TRANSACTIONS.schema.field("invoiced_at").type == pa.timestamp("us")
    assert TRANSACTIONS.schema.field("quantity").type == pa.int64()


def test_every_contract_names_columns_that_it_has() -> None:
    for name, contract in CONTRACTS.items():
        assert name == contract.table
        names = {column.name for column in contract.columns}
        assert {*contract.line_key, *filter(None, [contract.event_time])} <= names
        assert len(contract.schema.names) == len(set(contract.schema.names))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, "sale"),
        ({"quantity": -1}, "return"),
        ({"invoice": "C536379", "quantity": -1}, "return"),
        ({"unit_price": 0.0}, "adjustment"),
        ({"unit_price": 0.0, "quantity": -5}, "adjustment"),
        ({"invoice": "A563185"}, "adjustment"),
        ({"invoice": "A563185", "quantity": -1}, "adjustment"),
    ],
)
def test_kinds(values: dict[str, object], kind: str) -> None:
    assert derived(**values)[0] == kind


@pytest.mark.parametrize("code", ["85123A", "POST", "TEC-PH-10002275", "Ä", "1"])
def test_every_line_is_merchandise_by_default(code: str) -> None:
    assert derived(stock_code=code)[1] is True


@pytest.mark.parametrize("code", ["85123A", "22423", "15056BL", "79323lp"])
def test_codes_that_match_the_option_are_merchandise(code: str) -> None:
    assert derived(UCI, stock_code=code)[1] is True


@pytest.mark.parametrize("code", ["POST", "DOT", "M", "C2", "BANK CHARGES", "AMAZONFEE", "S", "D", "2242", "X22423"])
def test_codes_that_do_not_match_the_option_are_not_merchandise(code: str) -> None:
    assert derived(UCI, stock_code=code)[1] is False


@pytest.mark.parametrize(
    ("products", "others", "warns"),
    [(0, 20, True), (0, 19, False), (1, 20, True), (1, 19, False), (100, 0, False)],
)
def test_a_delivery_with_hardly_any_merchandise_has_a_warning(products: int, others: int, warns: bool) -> None:
    codes = ["85123A"] * products + ["TEC-PH-10002275"] * others
    rows = TRANSACTIONS.derive(lines(*({"stock_code": code} for code in codes)), UCI)
    warnings = TRANSACTIONS.warn(rows)
    assert len(warnings) == warns
    if warns:
        assert f"only {products} of {products + others} lines are merchandise" in warnings[0]


def test_lines_without_a_stock_code_do_not_count_as_merchandise_or_other() -> None:
    rows = TRANSACTIONS.derive(lines(*([{"stock_code": None}] * 50)), UCI)
    assert TRANSACTIONS.warn(rows) == []


@given(st.integers(-100, 100), st.floats(0, 100), st.sampled_from(["5", "C5", "A5"]))
def test_every_line_has_one_kind(quantity: int, price: float, invoice: str) -> None:
    kind, _ = derived(quantity=quantity, unit_price=price, invoice=invoice)
    wanted = "adjustment" if price == 0 or invoice == "A5" else "return" if quantity < 0 else "sale"
    assert kind == wanted
