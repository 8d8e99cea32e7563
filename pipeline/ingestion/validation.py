"""Validation of a delivery with Great Expectations; the only module that uses its API.

A suite is a JSON file that people edit (`expectations/<table>.json`, in Great Expectations' own form). Expectations on
the values of a column apply to rows: a row that fails one goes to quarantine. All other expectations apply to the
delivery as a whole: if one fails, the delivery is refused. An expectation whose `severity` is `warning` is only
reported on the delivery's page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import ColumnMapExpectation, MulticolumnMapExpectation
from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.ingestion.suites import (
    RECENT_LEVEL,
    ExpectationResult,
    Parameters,
    Suite,
    Validation,
    fill_in,
    positions_with,
)

PASS_OR_FAIL = {"result_format": "BOOLEAN_ONLY"}
FAILING_ROWS = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
"""Only the expectations that fail are evaluated again for their rows. On most days none fails, which saves half."""
EARLIEST, LATEST = datetime(1678, 1, 1), datetime(2262, 1, 1)
"""The range of nanosecond timestamps; times beyond it are validated as the nearest of the two."""
POSITION = "position"
MAX_SHOWN_CHARACTERS = 40
NOT_SHOWN = ("column", "column_list", "condition_parser", "min_value", "max_value")
"""Keywords of an expectation that are not listed among what it allows: some are shown in other ways."""
SEPARATOR = ", "
"""Between the columns of one expectation, and between their values."""


def validate(
    rows: pa.Table, suite: Suite, parameters: Parameters, measures: Mapping[str, str] | None = None
) -> Validation:
    """Validate the typed rows of a delivery against a suite.

    An expectation that refers to `recent_level` is evaluated without the rows that other expectations reject, because
    the recent days have no such rows either.

    Args:
        rows: the rows.
        suite: the suite.
        parameters: the values for this delivery.
        measures: computed columns for the expectations: name -> arithmetic on other columns.

    Raises:
        UsageError: if the suite is malformed, or an expectation cannot be evaluated on these rows.
    """
    _refuse_unknown(suite)
    ready, undecided = fill_in(suite.expectations, parameters)
    frame = _frame(rows, measures or {})
    of_rows = {position: expectation for position, expectation in ready.items() if _is_about_rows(expectation)}
    of_level = {n: ready[n] for n in positions_with(suite.expectations, RECENT_LEVEL) if n in ready}
    of_delivery = {n: expectation for n, expectation in ready.items() if n not in of_rows and n not in of_level}
    outcomes = _evaluate(frame, of_rows, suite, PASS_OR_FAIL)
    failed = {position: expectation for position, expectation in of_rows.items() if not outcomes[position].success}
    outcomes |= _evaluate(frame, failed, suite, FAILING_ROWS) | _evaluate(frame, of_delivery, suite, FAILING_ROWS)
    faults: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for position in failed:
        result = _result(ready[position], outcomes[position])
        if result.warns:
            continue
        for index in outcomes[position].result["unexpected_index_list"]:
            observed = [rows[name][index].as_py() for name in result.column.split(SEPARATOR)]
            shown = SEPARATOR.join(str(value)[:MAX_SHOWN_CHARACTERS] for value in observed)
            faults[int(index)][result.column].append(result.reason + ("" if None in observed else f" ({shown})"))
    accepted = frame.drop(index=list(faults))
    outcomes |= _evaluate(accepted, of_level, suite, FAILING_ROWS) if len(accepted) else {}
    for position in of_level:
        # Without rows that the expectation is about there is nothing to compare, such as on a day with no store open.
        if position not in outcomes or pd.isna(outcomes[position].result.get("observed_value")):
            undecided[position] = ready.pop(position)
    results = {position: _result(expectation, outcomes[position]) for position, expectation in ready.items()}
    results |= {position: _undecided(expectation) for position, expectation in undecided.items()}
    return Validation(
        tuple(results[position] for position in sorted(results)),
        {row: dict(columns) for row, columns in faults.items()},
    )


def _evaluate(
    frame: pd.DataFrame, expectations: Mapping[int, Mapping[str, Any]], suite: Suite, result_format: dict[str, Any]
) -> dict[int, Any]:
    """Evaluate expectations and return Great Expectations' results by position in the suite."""
    if not expectations:
        return {}
    # Great Expectations returns the results in an order of its own.
    marked = [{**e, "meta": {**e.get("meta", {}), POSITION: position}} for position, e in expectations.items()]
    try:
        gx_suite = gx.ExpectationSuite(name=suite.file.stem, expectations=marked)
    except (GreatExpectationsError, ValidationError, ValueError, TypeError) as error:
        raise UsageError(
            "The suite is not one that Great Expectations takes",
            where=str(suite.file),
            observed=error,
            todo="correct it",
        ) from error
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": frame})
    outcomes = {}
    for outcome in batch.validate(gx_suite, result_format=result_format).results:
        position = outcome.expectation_config.meta[POSITION]  # type: ignore[union-attr]
        _refuse_failed_evaluation(outcome, expectations[position], suite)
        outcomes[position] = outcome
    return outcomes


def _frame(rows: pa.Table, measures: Mapping[str, str]) -> pd.DataFrame:
    """Convert rows to the column types that Great Expectations evaluates fastest, and add the computed columns.

    Great Expectations loops over timestamps other than nanoseconds, and hashes every text that is not categorical.
    """
    columns = {}
    for column_field in rows.schema:
        column = rows[column_field.name]
        if pa.types.is_map(column_field.type):
            continue  # no expectation applies to a map; the contract derives the columns that the suite needs
        if pa.types.is_timestamp(column_field.type) or pa.types.is_date(column_field.type):
            column = column.cast(pa.timestamp("us"))
            column = pc.min_element_wise(column, LATEST, skip_nulls=False)
            column = pc.max_element_wise(column, EARLIEST, skip_nulls=False)
            column = column.cast(pa.timestamp("ns"))
        elif pa.types.is_string(column_field.type):
            column = column.dictionary_encode()
        columns[column_field.name] = column
    frame: pd.DataFrame = pa.table(columns).to_pandas(split_blocks=True)
    for name, formula in measures.items():
        frame[name] = frame.eval(formula)
    return frame


@cache
def _batch_definition() -> BatchDefinition[Any]:
    """Return Great Expectations' access to a data frame, made once per process and never stored on disk."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return (
        context.data_sources.add_pandas("aisle").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )


def _refuse_unknown(suite: Suite) -> None:
    # Great Expectations would skip what it does not know and mention it only in its log.
    faults = [
        f"number {number}: {expectation.get('type')}"
        for number, expectation in enumerate(suite.expectations, 1)
        if _type_of(expectation) is None
        or not all(isinstance(expectation.get(part, {}), dict) for part in ("kwargs", "meta"))
    ]
    if faults:
        raise UsageError(
            "The suite has entries that are not expectations",
            where=str(suite.file),
            observed=", ".join(faults),
            allowed='{"type": "expect_…", "kwargs": {…}, "meta": {"reason": …}}, of Great Expectations\' gallery',
        )


def _type_of(expectation: Mapping[str, Any]) -> type | None:
    """Return the class of an expectation, or None if Great Expectations has none of that name."""
    name = str(expectation.get("type")).title().replace("_", "")
    found = getattr(gx.expectations, name, None)
    return found if isinstance(found, type) else None


def _is_about_rows(expectation: Mapping[str, Any]) -> bool:
    """Tell whether an expectation is evaluated row by row, on the values of one or several columns."""
    found = _type_of(expectation)
    return found is not None and issubclass(found, ColumnMapExpectation | MulticolumnMapExpectation)


def _refuse_failed_evaluation(outcome: Any, expectation: Mapping[str, Any], suite: Suite) -> None:
    if outcome.exception_info and "raised_exception" not in outcome.exception_info:
        messages = {str(info.get("exception_message")) for info in outcome.exception_info.values()}
        raise UsageError(
            "An expectation cannot be evaluated on these rows",
            where=f"{suite.file}: {expectation['type']} on {expectation['kwargs'].get('column', 'the table')}",
            observed="; ".join(sorted(messages)),
            todo="correct the suite",
        )


def _result(expectation: Mapping[str, Any], outcome: Any) -> ExpectationResult:
    kwargs = expectation["kwargs"]
    about_rows = _is_about_rows(expectation)
    return ExpectationResult(
        **_description(expectation),
        scope="row" if about_rows else "delivery",
        bounds=_bounds(kwargs),
        passed=bool(outcome.success),
        failing=int(outcome.result["unexpected_count"]) if about_rows and not outcome.success else 0,
        observed="" if about_rows else _as_text(outcome.result.get("observed_value", "")),
    )


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
    """Format an observed or allowed value for people."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1e5 else f"{value:,.6g}"


def _undecided(expectation: Mapping[str, Any]) -> ExpectationResult:
    return ExpectationResult(**_description(expectation), scope="delivery", bounds="not known yet", passed=None)


def _description(expectation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a result that depend on the suite alone."""
    kwargs, name = expectation["kwargs"], expectation["type"]
    return {
        "expectation": name,
        "column": kwargs.get("column") or SEPARATOR.join(kwargs.get("column_list", ())),
        "reason": expectation.get("meta", {}).get("reason", name.removeprefix("expect_").replace("_", " ")),
        "warns": expectation.get("severity") == "warning",
    }
