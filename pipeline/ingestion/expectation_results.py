"""The results of expectations as records for people: what was expected, allowed and observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.ingestion.suites import ExpectationResult

NOT_SHOWN = ("column", "column_list", "condition_parser", "min_value", "max_value")
"""Keywords of an expectation that are not listed among what it allows: some are shown in other ways."""
SEPARATOR = ", "
"""Between the columns of one expectation, and between their values."""


def row_result(expectation: Mapping[str, Any], failing: int) -> ExpectationResult:
    """Return the result of an expectation on rows, given how many rows fail it."""
    bounds = _bounds(expectation["kwargs"])
    return ExpectationResult(**describe(expectation), scope="row", bounds=bounds, passed=not failing, failing=failing)


def delivery_result(expectation: Mapping[str, Any], passed: bool, observed: Any) -> ExpectationResult:
    """Return the result of an expectation on the delivery as a whole."""
    bounds, shown = _bounds(expectation["kwargs"]), _as_text(observed)
    return ExpectationResult(**describe(expectation), scope="delivery", bounds=bounds, passed=passed, observed=shown)


def _bounds(kwargs: Mapping[str, Any]) -> str:
    """Phrase what an expectation allows: `0.5 to 12.5`, `at least 1`, and further keywords with their values."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    parts = []
    if low is not None and high is not None:
        parts.append(f"{_as_text(low)} to {_as_text(high)}")
    elif low is not None or high is not None:
        parts.append(f"at least {_as_text(low)}" if high is None else f"at most {_as_text(high)}")
    others = {k: v for k, v in kwargs.items() if k not in NOT_SHOWN and v is not None}
    return ", ".join([*parts, *(f"{name} {value}" for name, value in others.items())])


def _as_text(value: Any) -> str:
    """Format an observed or allowed value for people: 17, 22,200, 544.6, 0.43.

    Four digits, one more than elsewhere, tell a value that is just out of bounds from the bound.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1e3 else f"{value:,.4g}"


def undecided_result(expectation: Mapping[str, Any]) -> ExpectationResult:
    """Return the result of an expectation whose bounds are not known yet."""
    return ExpectationResult(**describe(expectation), scope="delivery", bounds="not known yet", passed=None)


def describe(expectation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a result that depend on the suite alone."""
    kwargs, name = expectation["kwargs"], expectation["type"]
    return {
        "expectation": name,
        "column": kwargs.get("column") or SEPARATOR.join(kwargs.get("column_list", ())),
        "reason": expectation.get("meta", {}).get("reason", name.removeprefix("expect_").replace("_", " ")),
        "warns": expectation.get("severity") == "warning",
    }
