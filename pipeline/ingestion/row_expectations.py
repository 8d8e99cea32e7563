"""Expectations on the values of a column, evaluated by Arrow's kernels batch by batch.

They mean what Great Expectations means by them in pandas; `tests/ingestion/test_row_expectations.py` holds both against
each other. A missing value fails only an expectation on missing values. What is not covered here, by its type, by a
keyword or by the type of its column, is left to Great Expectations, which needs all rows at once and in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from dateutil.parser import parse as parse_time  # type: ignore[import-untyped]

from pipeline.ingestion.row_conditions import is_simple, rows_that_meet

CONDITION_KEYS = {"row_condition", "condition_parser"}
Kwargs = Mapping[str, Any]


def failing_rows(rows: pa.Table, expectation: Mapping[str, Any]) -> pa.ChunkedArray | None:
    """Tell for each row whether it fails an expectation; None if the expectation is not covered.

    Args:
        rows: typed rows, computed columns included.
        expectation: its type and keywords in Great Expectations' JSON form, without references to parameters.
    """
    kwargs = {name: value for name, value in expectation["kwargs"].items() if value is not None}
    known, failing = COVERED.get(expectation["type"], (set(), None))
    condition = kwargs.get("row_condition")
    if failing is None or not kwargs.keys() <= known | CONDITION_KEYS | {"column"}:
        return None
    if condition is not None and (not is_simple(condition) or kwargs.get("condition_parser") != "pandas"):
        return None
    try:
        column = rows[kwargs["column"]]
        mask = failing(column, kwargs)
        if mask is None or condition is None:
            return mask
        return pc.and_(mask, rows_that_meet(condition, rows))
    except (KeyError, pa.ArrowException, OverflowError):
        # Great Expectations says what is wrong with it.
        return None


def _null(column: pa.ChunkedArray, _: Kwargs) -> pa.ChunkedArray:
    return pc.is_null(column)


def _not_null(column: pa.ChunkedArray, _: Kwargs) -> pa.ChunkedArray:
    return pc.is_valid(column)


def _outside(column: pa.ChunkedArray, kwargs: Kwargs) -> pa.ChunkedArray | None:
    bounds = {name: kwargs[name] for name in ("min_value", "max_value") if name in kwargs}
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us"))
        bounds = {name: parse_time(value) if isinstance(value, str) else value for name, value in bounds.items()}
        allowed: tuple[type, ...] = (datetime,)
    else:
        allowed = (int, float)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            return None
    if not bounds or any(isinstance(bound, bool) or not isinstance(bound, allowed) for bound in bounds.values()):
        return None
    return _out_of_bounds(column, bounds, kwargs)


def _out_of_bounds(values: pa.ChunkedArray, bounds: Kwargs, kwargs: Kwargs) -> pa.ChunkedArray | None:
    low, high = bounds.get("min_value"), bounds.get("max_value")
    if low is not None and high is not None and low > high:
        return None
    below = pc.less_equal if kwargs.get("strict_min") else pc.less
    above = pc.greater_equal if kwargs.get("strict_max") else pc.greater
    masks = [test(values, pa.scalar(bound)) for test, bound in ((below, low), (above, high)) if bound is not None]
    return pc.fill_null(masks[0] if len(masks) == 1 else pc.or_(*masks), False)


def _lengths_outside(column: pa.ChunkedArray, kwargs: Kwargs) -> pa.ChunkedArray | None:
    bounds = {name: kwargs[name] for name in ("min_value", "max_value") if name in kwargs}
    if not pa.types.is_string(column.type) or not bounds or not all(type(bound) is int for bound in bounds.values()):
        return None
    return _out_of_bounds(pc.utf8_length(column), bounds, kwargs)


def _in_set(column: pa.ChunkedArray, kwargs: Kwargs) -> pa.ChunkedArray | None:
    """Tell which values are in the set; null for missing values, None if the types differ."""
    values, of_type = kwargs.get("value_set"), column.type
    if not isinstance(values, list) or not values:
        return None
    if pa.types.is_string(of_type):
        wanted: tuple[type, ...] = (str,)
    elif pa.types.is_boolean(of_type):
        wanted = (bool,)
    elif pa.types.is_integer(of_type) or pa.types.is_floating(of_type):
        wanted, of_type = (int, float), pa.float64()
    else:
        return None
    if not all(type(value) in wanted for value in values):
        return None
    found = pc.is_in(column.cast(of_type), value_set=pa.array(values, of_type))
    return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))


def _not_in_set(column: pa.ChunkedArray, kwargs: Kwargs) -> pa.ChunkedArray | None:
    found = _in_set(column, kwargs)
    return None if found is None else pc.fill_null(pc.invert(found), False)


def _in_forbidden_set(column: pa.ChunkedArray, kwargs: Kwargs) -> pa.ChunkedArray | None:
    found = _in_set(column, kwargs)
    return None if found is None else pc.fill_null(found, False)


def _unlike(column: pa.ChunkedArray, kwargs: Kwargs) -> pa.ChunkedArray | None:
    """Match each distinct value once, by the function of pandas that Great Expectations uses."""
    if not pa.types.is_string(column.type):
        return None
    distinct = pc.unique(column.drop_null())
    matches = pd.Series(distinct.to_pylist(), dtype=object).astype(str).str.contains(kwargs["regex"])
    unlike = distinct.filter(pa.array(~matches.to_numpy(bool)))
    return pc.is_in(column, value_set=unlike, skip_nulls=True)


_BOUNDS = {"min_value", "max_value", "strict_min", "strict_max"}
COVERED: Mapping[str, tuple[set[str], Callable[[pa.ChunkedArray, Kwargs], pa.ChunkedArray | None]]] = {
    "expect_column_values_to_not_be_null": (set(), _null),
    "expect_column_values_to_be_null": (set(), _not_null),
    "expect_column_values_to_be_between": (_BOUNDS, _outside),
    "expect_column_value_lengths_to_be_between": (_BOUNDS, _lengths_outside),
    "expect_column_values_to_be_in_set": ({"value_set"}, _not_in_set),
    "expect_column_values_to_not_be_in_set": ({"value_set"}, _in_forbidden_set),
    "expect_column_values_to_match_regex": ({"regex"}, _unlike),
}
"""Type -> its keywords, and the function that tells which values fail it."""
