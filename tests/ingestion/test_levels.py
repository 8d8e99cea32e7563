"""A delivery is compared with the level of the recent days: prices, quantities, takings, known customers, sales."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.contracts import CONTRACTS
from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.suites import RECENT_LEVEL, Parameters, load_suite, positions_with
from tests.suites import validated

FOLDER = Path(__file__).resolve().parents[2] / "expectations"
PRICE, QUANTITY = "the median price", "the median quantity of a line"
LINE, TAKINGS, KNOWN = (
    "the median total of a line",
    "the takings of the day",
    "the share of lines with a known customer",
)
DAYS = [f"2025-03-{day:02}" for day in range(1, 10)]
TABLES = [t for t in CONTRACTS if positions_with(load_suite(FOLDER / f"{t}.json").expectations, RECENT_LEVEL)]


def lines_of(till: Any, day: str, *, price: float = 2.5, quantity: int = 2, guests: int = 0) -> list[str]:
    lines = [till.line(f"{day[-2:]}{n}", 10000 + n, quantity, price, day=day) for n in range(20)]
    return [line.replace(",77,", ",,") if n < guests else line for n, line in enumerate(lines)]


@pytest.fixture
def week(till: Any) -> Any:
    """Eight days of twenty lines each, from one file."""
    till.deliver("files/week.csv", [line for day in DAYS[:8] for line in lines_of(till, day)])
    return till


def warnings_of(till: Any, name: str, lines: list[str]) -> list[str]:
    """The warnings of a delivery, without the observed and the allowed values."""
    till.write(name, lines)
    found = ingestion.ingest(till.settings, till.found(name)).warnings
    return [warning.split(" is ")[0].split(" are ")[0] for warning in found]


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, []),
        ({"price": 2.5 * 4.9}, []),
        ({"price": 250.0}, [PRICE, LINE, TAKINGS]),
        ({"price": 0.025}, [PRICE, LINE, TAKINGS]),
        ({"quantity": 12}, [QUANTITY, LINE]),
        ({"guests": 15}, []),
        ({"guests": 20}, [KNOWN]),
    ],
    ids=str,
)
def test_a_day_of_another_level_is_accepted_with_warnings(
    week: Any, change: dict[str, Any], reasons: list[str]
) -> None:
    assert warnings_of(week, f"{DAYS[8]}.csv", lines_of(week, DAYS[8], **change)) == reasons
    assert len(week.clean()) == 9 * 20


def test_a_warning_has_the_observed_and_the_allowed_values(week: Any) -> None:
    week.write(f"{DAYS[8]}.csv", lines_of(week, DAYS[8], price=250.0))
    warning = ingestion.ingest(week.settings, week.found(f"{DAYS[8]}.csv")).warnings[0]
    assert warning == ("the median price is out of line with the recent days (observed 250, allowed 0.5 to 12.5)")
    week.write(f"{DAYS[7]}.csv", lines_of(week, DAYS[7], guests=20))
    (warning,) = ingestion.ingest(week.settings, week.found(f"{DAYS[7]}.csv")).warnings
    assert warning.endswith("(observed 0, allowed at least 0.2)")
    page = week.lake.path(f"reports/validation/transactions/till--{DAYS[8]}.csv.html").read_text()
    assert "the median price is out of line with the recent days (observed 250" in page


def test_without_severity_the_same_day_is_refused(week: Any) -> None:
    file = week.settings.expectations / "transactions.json"
    suite = json.loads(file.read_text())
    for expectation in suite["expectations"]:
        expectation.pop("severity", None)
    file.write_text(json.dumps(suite))
    before = week.clean()
    with pytest.raises(RefusedError, match=r"the median price is out of line .*observed 250, allowed 0.5 to 12.5"):
        week.deliver(f"{DAYS[8]}.csv", lines_of(week, DAYS[8], price=250.0))
    assert week.clean() == before


def test_a_day_is_not_compared_with_itself_nor_with_later_days(week: Any) -> None:
    wrong = lines_of(week, DAYS[7], price=250.0)
    assert warnings_of(week, f"{DAYS[7]}.csv", wrong) == [PRICE, LINE, TAKINGS]
    assert warnings_of(week, f"{DAYS[7]}.csv", [*wrong, wrong[0]]) == [PRICE, LINE, TAKINGS]
    assert warnings_of(week, f"{DAYS[0]}.csv", lines_of(week, DAYS[0], price=250.0)) == []


def test_fewer_than_seven_recent_days_are_no_level(till: Any) -> None:
    till.deliver("files/week.csv", [line for day in DAYS[:6] for line in lines_of(till, day)])
    assert warnings_of(till, f"{DAYS[6]}.csv", lines_of(till, DAYS[6], price=250.0)) == []


def test_rows_that_are_rejected_do_not_count(week: Any) -> None:
    lines = [*lines_of(week, DAYS[8]), week.line("much", 10001, 1_000_000_000, 900_000, day=DAYS[8])]
    assert warnings_of(week, f"{DAYS[8]}.csv", lines) == []


def test_a_file_that_names_no_days_is_compared_by_the_days_of_its_rows(week: Any) -> None:
    two_days = [line for day in (DAYS[8], "2025-03-10") for line in lines_of(week, day, price=250.0)]
    assert warnings_of(week, "files/any.csv", two_days) == [PRICE, LINE], (
        "a sum of two days is not compared with one day"
    )


def test_only_some_figures_have_a_recent_level(week: Any) -> None:
    file = week.settings.expectations / "transactions.json"
    bounds = {"column": "quantity", "max_value": {"$PARAMETER": "recent_level"}}
    file.write_text(json.dumps({"expectations": [{"type": "expect_column_max_to_be_between", "kwargs": bounds}]}))
    with pytest.raises(UsageError, match="no recent level"):
        week.deliver(f"{DAYS[8]}.csv", lines_of(week, DAYS[8]))


def rows_of(table: str, value: float) -> pa.Table:
    """Three rows whose numbers are all the same."""
    values: dict[str, Callable[[pa.DataType], Any]] = {
        "int64": lambda _: int(value),
        "double": lambda _: float(value),
        "bool": lambda _: True,
        "string": lambda _: "1" if value else None,
        "date32[day]": lambda _: datetime(2025, 3, 3).date(),
        "timestamp[us]": lambda _: datetime(2025, 3, 3),
    }
    fields = [f for f in CONTRACTS[table].schema if str(f.type) in values]
    return pa.table({f.name: pa.array([values[str(f.type)](f.type)] * 3, f.type) for f in fields})


def level_expectations() -> Iterator[tuple[str, int]]:
    for table in TABLES:
        for position in positions_with(load_suite(FOLDER / f"{table}.json").expectations, RECENT_LEVEL):
            yield table, position


@pytest.mark.parametrize(("table", "position"), level_expectations())
def test_each_level_of_each_suite_can_fail_and_pass(tmp_path: Path, table: str, position: int) -> None:
    expectation = load_suite(FOLDER / f"{table}.json").expectations[position]
    (tmp_path / "suite.json").write_text(json.dumps({"expectations": [expectation]}))
    suite = load_suite(tmp_path / "suite.json")
    share, total = "proportion" in expectation["type"], expectation["kwargs"]["column"] == "line_total"
    usual = 10
    level = 0.9 if share else 3 * usual**2 if total else usual
    parameters = Parameters(not_after=datetime(2025, 3, 5), recent_levels={0: level})
    outcomes = []
    for value in (usual, 0, 1_000 * usual):
        (result,) = validated(rows_of(table, value), suite, parameters, CONTRACTS[table].measures).results
        outcomes.append(result.passed)
    # A share cannot be far above the usual one.
    assert outcomes == [True, False, share]
