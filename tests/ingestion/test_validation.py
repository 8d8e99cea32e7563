"""Each expectation of the suite says no to what it is there for; suites that cannot be asked are told from bad data."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion.expectation_results import delivery_result
from pipeline.ingestion.suites import Parameters, Validation, load_suite
from tests.suites import validated

SUITE = Path(__file__).resolve().parents[2] / "expectations" / "transactions.json"
EXPECTATIONS = json.loads(SUITE.read_text())["expectations"]
REASONS = [e["meta"]["reason"] for e in EXPECTATIONS if e.get("severity") != "warning"]
"""The others, which warn of the level, are tried in test_levels.py."""
PARAMETERS = Parameters(not_after=datetime(2025, 3, 5), last_day=datetime(2025, 3, 3), recent_rows=10.0)
GOOD = {
    "invoice": "1",
    "stock_code": "10001",
    "description": None,
    "quantity": 1,
    "unit_price": 0.0,
    "invoiced_at": datetime(2025, 3, 3, 10),
    "customer_id": None,
    "country": None,
}
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("invoice", "stock_code", "description")),
        ("quantity", pa.int64()),
        ("unit_price", pa.float64()),
        ("invoiced_at", pa.timestamp("us")),
        ("customer_id", pa.string()),
        ("country", pa.string()),
    ]
)
ROWS = [
    ("the invoice number is missing", {"invoice": None}),
    ("the invoice number is longer than 40 characters", {"invoice": "9" * 41}),
    ("the article number is missing", {"stock_code": None}),
    ("the article number is longer than 40 characters", {"stock_code": "9" * 41}),
    ("the description is longer than 1,000 characters", {"description": "x" * 1001}),
    ("the quantity is missing", {"quantity": None}),
    ("the quantity is zero", {"quantity": 0}),
    ("the quantity is beyond a million units", {"quantity": 1_000_001}),
    ("the quantity is beyond a million units", {"quantity": -1_000_001}),
    ("the price is missing", {"unit_price": None}),
    ("the price is negative", {"unit_price": -0.01}),
    ("the price is beyond a million", {"unit_price": 1e6 + 1}),
    ("the time of the invoice is missing", {"invoiced_at": None}),
    ("the invoice is dated before the year 2000", {"invoiced_at": datetime(1900, 1, 1)}),
    ("the invoice is dated before the year 2000", {"invoiced_at": datetime(1500, 1, 1)}),
    ("the invoice is dated after it was delivered", {"invoiced_at": datetime(2999, 1, 1)}),
    ("the invoice is dated after it was delivered", {"invoiced_at": datetime(2025, 3, 5, 0, 0, 1)}),
    ("the customer number is longer than 40 characters", {"customer_id": "9" * 41}),
    ("the country is longer than 100 characters", {"country": "x" * 101}),
]
DELIVERIES = [
    ("a column of the contract is missing", [GOOD] * 3, ["country"]),
    ("nothing was sold on the last day that the delivery is for: it is stale", "stale", []),
    ("the number of rows is out of line with the recent days", [], []),
    ("the number of rows is out of line with the recent days", [GOOD] * 101, []),
]


def validate(rows: pa.Table, suite: Path, parameters: Parameters) -> Validation:
    return validated(rows, load_suite(suite), parameters, {"line_total": "quantity * unit_price"})


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def test_every_expectation_of_the_suite_is_tried() -> None:
    assert sorted({reason for reason, *_ in (*ROWS, *DELIVERIES)}) == sorted(set(REASONS))


def test_good_rows_at_the_edges_of_what_is_allowed_pass() -> None:
    edges = [GOOD, GOOD | {"quantity": -1_000_000}, GOOD | {"unit_price": 1e6, "invoice": "9" * 40}]
    said = validate(table(edges), SUITE, PARAMETERS)
    assert said.failed == ()
    assert {v.passed for v in said.results if not v.warns} == {True}
    assert [v.reason for v in said.results if not v.warns] == REASONS


@pytest.mark.parametrize(("reason", "cell"), ROWS)
def test_a_row_that_fails_is_named_with_its_column_and_reason(reason: str, cell: dict[str, Any]) -> None:
    said = validate(table([GOOD, GOOD | cell, GOOD]), SUITE, PARAMETERS)
    (failed,) = said.failed
    assert (failed.columns, failed.reason, failed.numbers.tolist()) == ((next(iter(cell)),), reason, [1])
    assert [(v.reason, v.failing) for v in said.results if v.passed is False] == [(reason, 1)]
    assert said.refusals == []


@pytest.mark.parametrize(("reason", "rows", "without"), DELIVERIES)
def test_a_delivery_that_fails_is_refused_with_the_reason(
    tmp_path: Path, reason: str, rows: Any, without: list[str]
) -> None:
    if rows == "stale":
        rows = [GOOD | {"invoiced_at": datetime(2025, 3, 2, 23, 59)}] * 3
    if without:
        # What is asked of a column that is not there cannot be asked, so only the expectation in question is.
        asked = [e for e in json.loads(SUITE.read_text())["expectations"] if "columns_to_match" in e["type"]]
        said = validate(table(rows).drop_columns(without), written(tmp_path, asked), PARAMETERS)
    else:
        said = validate(table(rows), SUITE, PARAMETERS)
    assert reason in [v.reason for v in said.refusals]
    assert said.failed == ()


def written(folder: Path, expectations: Any) -> Path:
    file = folder / "suite.json"
    file.write_text(expectations if isinstance(expectations, str) else json.dumps({"expectations": expectations}))
    return file


def test_what_is_not_known_yet_is_not_asked() -> None:
    said = validate(table([GOOD]), SUITE, Parameters(not_after=datetime(2025, 3, 5)))
    assert [v.passed for v in said.results if not v.warns][-2:] == [None, None]
    assert {v.passed for v in said.results if v.warns} == {None}
    assert said.refusals == []


def test_mostly_lets_no_row_through(tmp_path: Path) -> None:
    asked = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "quantity", "min_value": 1, "mostly": 0.1},
    }
    said = validate(table([GOOD, GOOD | {"quantity": -1}]), written(tmp_path, [asked]), PARAMETERS)
    assert [(f.columns, f.reason, f.numbers.tolist()) for f in said.failed] == [
        (("quantity",), "column values to be between", [1])
    ]


def test_no_rows_and_no_values_are_no_crash() -> None:
    assert [v.passed for v in validate(table([]), SUITE, PARAMETERS).results if not v.warns][-2:] == [False, False]
    said = validate(table([dict.fromkeys(GOOD)] * 3), SUITE, PARAMETERS)
    assert {n for f in said.failed for n in f.numbers} == {0, 1, 2}
    assert len(said.refusals) == 1


BETWEEN = "expect_column_values_to_be_between"


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        ("{", "not readable"),
        ('{"name": "x"}', "not readable"),
        ("[]", "not readable"),
        ('{"expectations": [], "meta": {"max_quarantined_share": 1.5}}', "max_quarantined_share is 1.5"),
        ('{"expectations": [], "meta": {"max_quarantined_share": "few"}}', "not readable"),
        ('{"expectations": [], "meta": []}', "not readable"),
        ([{"type": "expect_wonders"}], "number 1: expect_wonders"),
        ([{"kwargs": {}}], "not expectations"),
        ([{"type": BETWEEN, "kwargs": "quantity"}], "not expectations"),
        ([{"type": BETWEEN, "kwargs": {"column": "quantity", "most": 3}}], "not one that Great Expectations takes"),
        ([{"type": BETWEEN, "kwargs": {"column": "colour", "min_value": 3}}], "colour"),
        ([{"type": BETWEEN, "kwargs": {"column": "country", "min_value": 3}}], "cannot be evaluated"),
        ([{"type": BETWEEN, "kwargs": {"column": "quantity", "min_value": {"$PARAMETER": "moon"}}}], "moon"),
    ],
)
def test_a_suite_that_cannot_be_asked_is_wrong_usage(tmp_path: Path, suite: Any, message: str) -> None:
    rows = table([GOOD | {"country": "France"}])
    with pytest.raises(UsageError, match=re.escape(message)):
        validate(rows, written(tmp_path, suite), PARAMETERS)


def test_a_suite_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        validate(table([GOOD]), tmp_path / "none.json", PARAMETERS)


def test_volume_is_held_against_the_recent_days(till: Any) -> None:
    for day in range(1, 9):
        till.deliver(f"2025-03-0{day}.csv", [till.line(n, day=f"2025-03-0{day}") for n in range(20)])
    for lines in (1, 201):
        with pytest.raises(RefusedError, match="out of line with the recent days"):
            till.deliver("2025-03-09.csv", [till.line(n, day="2025-03-09") for n in range(lines)])
    assert till.deliver("2025-03-09.csv", [till.line(n, day="2025-03-09") for n in range(2)]).clean == 2


def test_a_warning_is_told_and_sends_nobody_away(tmp_path: Path) -> None:
    suite = tmp_path / "suite.json"
    of_rows = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "quantity", "min_value": 2}}
    of_delivery = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 3}}
    expectations = [{**e, "severity": "warning", "meta": {"reason": "few"}} for e in (of_rows, of_delivery)]
    suite.write_text(json.dumps({"name": "suite", "expectations": expectations}))
    rows = pa.Table.from_pylist([GOOD, {**GOOD, "quantity": 5}], schema=SCHEMA)
    said = validate(rows, suite, PARAMETERS)
    assert [(v.scope, v.passed, v.failing, v.warns) for v in said.results] == [
        ("row", False, 1, True),
        ("delivery", False, 0, True),
    ]
    assert (said.failed, said.refusals) == ((), [])
    suite.write_text(json.dumps({"name": "suite", "expectations": [of_rows, of_delivery]}))
    said = validate(rows, suite, PARAMETERS)
    assert ([f.numbers.tolist() for f in said.failed], len(said.refusals)) == ([[0]], 1)


def test_figures_of_a_warning_have_as_many_digits_as_a_reader_needs() -> None:
    bounds = {"column": "line_total", "min_value": 544.634, "max_value": 54463.4}
    takings = {"type": "expect_column_sum_to_be_between", "kwargs": bounds, "meta": {"reason": "the takings are high"}}
    found = delivery_result(takings, passed=False, observed=11_886_859.3)
    assert found.sentence == "the takings are high (observed 11,886,859, allowed 544.6 to 54,463)"
    assert delivery_result(takings, passed=True, observed=0.43).observed == "0.43"
