"""Arrow's answers to expectations on rows are Great Expectations' own, and so are the figures of a delivery."""

from __future__ import annotations

import random
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.ingestion import figures as module
from pipeline.ingestion.figures import figures
from pipeline.ingestion.row_expectations import COVERED, failing_rows
from pipeline.ingestion.rows import BATCH_ROWS, NO_ROWS, Rows
from pipeline.ingestion.staging import Stage
from pipeline.ingestion.suites import Suite
from pipeline.ingestion.validation import _define, _evaluate
from pipeline.lake.sql import Engine
from pipeline.settings import Settings
from tests.suites import EXPECTATIONS

SUITE = Suite(EXPECTATIONS / "tried.json", ())
TIME = datetime(2025, 3, 3, 10)
CELLS = {
    "text": (pa.string(), ["", "a", "ab", "äöü", "Jan,Feb", "a\n", None]),
    "number": (pa.float64(), [-1.0, 0.0, 0.5, 1.0, 1e300, None]),
    "whole": (pa.int64(), [-1, 0, 1, 2, 2**53, None]),
    "flag": (pa.bool_(), [True, False, None]),
    "time": (pa.timestamp("us"), [TIME, datetime(1066, 1, 1), datetime(2999, 1, 1), None]),
    "day": (pa.date32(), [date(2025, 3, 3), date(2025, 3, 4), None]),
}
ROWS = [
    ("expect_column_values_to_not_be_null", {"column": "text"}),
    ("expect_column_values_to_not_be_null", {"column": "text", "row_condition": "flag == True"}),
    ("expect_column_values_to_be_null", {"column": "number", "row_condition": "flag == False and whole >= 0"}),
    ("expect_column_values_to_be_null", {"column": "number", "row_condition": "text == 'a' or whole == whole"}),
    ("expect_column_values_to_be_between", {"column": "number", "min_value": 0, "max_value": 1}),
    ("expect_column_values_to_be_between", {"column": "whole", "min_value": 0.5, "strict_min": True}),
    ("expect_column_values_to_be_between", {"column": "whole", "max_value": 1, "strict_max": True}),
    ("expect_column_values_to_be_between", {"column": "time", "min_value": "2000-01-01 00:00:00"}),
    ("expect_column_values_to_be_between", {"column": "day", "max_value": datetime(2025, 3, 3, 12)}),
    ("expect_column_value_lengths_to_be_between", {"column": "text", "min_value": 1, "max_value": 2}),
    ("expect_column_values_to_be_in_set", {"column": "text", "value_set": ["a", "ab"]}),
    ("expect_column_values_to_be_in_set", {"column": "whole", "value_set": [0, 1.0]}),
    ("expect_column_values_to_be_in_set", {"column": "flag", "value_set": [True]}),
    ("expect_column_values_to_not_be_in_set", {"column": "number", "value_set": [0]}),
    ("expect_column_values_to_match_regex", {"column": "text", "regex": "^(Jan|Feb|a)(,(Jan|Feb))*$"}),
]
FIGURES = [
    ("expect_table_row_count_to_be_between", {"min_value": 2}),
    ("expect_column_min_to_be_between", {"column": "whole", "min_value": 0}),
    ("expect_column_max_to_be_between", {"column": "time", "min_value": TIME}),
    ("expect_column_max_to_be_between", {"column": "day", "min_value": TIME}),
    ("expect_column_median_to_be_between", {"column": "whole", "min_value": 0, "row_condition": "flag == True"}),
    ("expect_column_sum_to_be_between", {"column": "whole", "max_value": 2}),
    ("expect_column_mean_to_be_between", {"column": "whole", "max_value": 1, "strict_max": True}),
    ("expect_column_proportion_of_non_null_values_to_be_between", {"column": "text", "min_value": 0.5}),
]


def expectation(kind: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    condition = {"condition_parser": "pandas"} if "row_condition" in kwargs else {}
    return {"type": kind, "kwargs": kwargs | condition}


def drawn(seed: int, rows: int = 60) -> pa.Table:
    draw = random.Random(seed)
    return pa.table(
        {name: pa.array([draw.choice(cells) for _ in range(rows)], of) for name, (of, cells) in CELLS.items()}
    )


SEVERAL = {"many": drawn(7), "missing": pa.table({name: pa.nulls(3, of) for name, (of, _) in CELLS.items()})}


def test_every_covered_expectation_is_tried() -> None:
    assert {kind for kind, _ in ROWS} == set(COVERED)


@pytest.mark.parametrize("which", SEVERAL)
def test_the_same_rows_fail_as_by_great_expectations(which: str) -> None:
    rows = SEVERAL[which]
    asked = {n: expectation(*of) for n, of in enumerate(ROWS)}
    told = _evaluate(rows, asked, SUITE, {})
    for position, one in asked.items():
        mask = failing_rows(rows, one)
        assert mask is not None, one
        failing = [n for n, fails in enumerate(mask.to_pylist()) if fails]
        wanted = [] if told[position].success else sorted(told[position].result["unexpected_index_list"])
        assert failing == wanted, one


@pytest.mark.parametrize("which", SEVERAL)
def test_the_same_figures_decide_as_by_great_expectations(which: str) -> None:
    rows = SEVERAL[which]
    asked = {n: expectation(*of) for n, of in enumerate(FIGURES)}
    told = _evaluate(rows, asked, SUITE, {})
    numbers = pa.array(range(1, rows.num_rows + 1), pa.int64())
    with Stage(Engine(Settings())) as stage:
        stage.add(Rows(rows.select(["text"]), numbers), rows.append_column("row", numbers))
        stage.seal()
        found = figures(stage, asked, {}, NO_ROWS)
    assert found.keys() == asked.keys()
    for position, defined in _define(asked, SUITE).items():
        outcome, wanted = defined._validate(metrics=found[position]), told[position]
        assert bool(outcome["success"]) == bool(wanted.success), asked[position]
        figure, observed = outcome["result"]["observed_value"], wanted.result["observed_value"]
        if pd.isna(observed):
            assert str(figure) == str(observed), asked[position]
        else:
            assert figure == (pytest.approx(observed) if isinstance(observed, float) else observed), asked[position]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4_000_001])
def test_a_median_of_more_rows_than_memory_may_hold_is_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is that of four million values alone, so they cannot be sorted without going to disk."""
    values = np.random.default_rng(7).normal(size=rows)
    table = pa.table({"value": values, "row": np.arange(1, rows + 1)}).append_column("open", pa.array(values > 0))
    median = {"column": "value", "max_value": 1}
    asked = {
        2: expectation("expect_column_median_to_be_between", median),
        5: expectation("expect_column_median_to_be_between", median | {"row_condition": "open == True"}),
        6: expectation("expect_column_mean_to_be_between", median),
    }
    with Stage(Engine(Settings(memory_limit="32MB", threads=1))) as stage:
        for start in range(0, max(rows, 1), BATCH_ROWS):
            batch = table.slice(start, BATCH_ROWS)
            stage.add(Rows(batch.select(["value"]), batch["row"].combine_chunks()), batch)
        stage.seal()
        at_once = figures(stage, asked, {}, NO_ROWS)
        monkeypatch.setattr(module, "MAX_IN_MEMORY", 0)
        assert figures(stage, asked, {}, NO_ROWS) == at_once
    assert at_once[2] == {"column.median": pytest.approx(np.median(values)) if rows else None}


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_be_increasing", {"column": "whole"}),
        ("expect_column_values_to_be_between", {"column": "text", "min_value": 1}),
        ("expect_column_values_to_be_between", {"column": "whole", "min_value": 2, "max_value": 1}),
        ("expect_column_values_to_be_in_set", {"column": "whole", "value_set": ["1"]}),
        ("expect_column_values_to_not_be_null", {"column": "text", "row_condition": "not flag"}),
        ("expect_column_values_to_not_be_null", {"column": "text", "row_condition": "text.str.len() > 1"}),
        ("expect_column_values_to_not_be_null", {"column": "text", "row_condition": "text == 1"}),
        ("expect_column_values_to_not_be_null", {"column": "nowhere"}),
    ],
)
def test_what_is_not_covered_is_left_to_great_expectations(kind: str, kwargs: dict[str, Any]) -> None:
    rows = pa.table({"text": ["a", "b"], "whole": [1, 2], "flag": [True, None]})
    assert failing_rows(rows, expectation(kind, kwargs)) is None
