"""Validation of a delivery with Great Expectations; the only module that uses its API.

A suite is a JSON file that people edit (`expectations/<table>.json`, in Great Expectations' own form). Expectations on
the values of a column apply to rows: a row that fails one goes to quarantine. All other expectations apply to the
delivery as a whole: if one fails, the delivery is refused. An expectation whose `severity` is `warning` is only
reported on the delivery's page.

Great Expectations checks the definitions and decides on the delivery as a whole, from figures that the engine computes.
Rows are held against the suite batch by batch, by Arrow (`row_expectations.py`), and uniqueness by the engine. What
these do not cover, Great Expectations evaluates itself, on all rows in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import ColumnMapExpectation, MulticolumnMapExpectation
from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.ingestion.expectation_results import SEPARATOR, delivery_result, describe, row_result, undecided_result
from pipeline.ingestion.figures import EARLIEST, LATEST, figures
from pipeline.ingestion.row_expectations import failing_rows
from pipeline.ingestion.rows import Numbers, union
from pipeline.ingestion.staging import Stage
from pipeline.ingestion.suites import (
    RECENT_LEVEL,
    FailedRows,
    Parameters,
    Suite,
    Validation,
    fill_in,
    positions_with,
)
from pipeline.ingestion.uniqueness import shared_values

FAILING_ROWS = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
POSITION = "position"
Expectations = Mapping[int, Mapping[str, Any]]
"""Expectations by position in the suite."""


class SuiteCheck:
    """Holds a delivery against a suite: its rows batch by batch, then the delivery as a whole.

    Args:
        suite: the suite.
        parameters: the values for this delivery; the recent levels may follow later.
        measures: computed columns for the expectations: name -> arithmetic on other columns.

    Raises:
        UsageError: if the suite is malformed.
    """

    def __init__(self, suite: Suite, parameters: Parameters, measures: Mapping[str, str] | None = None) -> None:
        _refuse_unknown(suite)
        self._suite, self._measures = suite, measures or {}
        ready, _ = fill_in(suite.expectations, parameters)
        _define(ready, suite)
        self._of_rows = {position: e for position, e in ready.items() if _is_about_rows(e)}
        self._batches: dict[int, list[Numbers]] = {position: [] for position in self._of_rows}
        self._left_to_others: set[int] = set()
        self._measured = any(_columns(e) & self._measures.keys() for e in self._of_rows.values())

    def add(self, typed: pa.Table) -> None:
        """Hold a batch of typed rows against the expectations on rows."""
        rows = with_measures(typed, self._measures) if self._measured else typed
        for position, expectation in self._of_rows.items():
            if position in self._left_to_others:
                continue
            failing = failing_rows(rows, expectation)
            if failing is None:
                self._left_to_others.add(position)
            elif pc.any(failing).as_py():
                self._batches[position].append(typed["row"].filter(failing).to_numpy())

    def finish(self, stage: Stage, repeats: Numbers, parameters: Parameters) -> Validation:
        """Decide on the delivery after its last batch.

        An expectation that refers to `recent_level` is evaluated without the rows that other expectations reject,
        because the recent days have no such rows either.

        Args:
            stage: all rows.
            repeats: the numbers of the exact repeats, which do not count.
            parameters: the values for this delivery, complete.

        Raises:
            UsageError: if an expectation cannot be evaluated on these rows.
        """
        ready, undecided = fill_in(self._suite.expectations, parameters)
        defined = _define(ready, self._suite)
        numbers = self._failing_rows(stage, repeats)
        failed = [
            FailedRows(tuple(describe(e)["column"].split(SEPARATOR)), describe(e)["reason"], numbers[position])
            for position, e in self._of_rows.items()
            if len(numbers[position]) and not describe(e)["warns"]
        ]
        of_level = {n: ready[n] for n in positions_with(self._suite.expectations, RECENT_LEVEL) if n in ready}
        others = {n: e for n, e in ready.items() if n not in self._of_rows and n not in of_level}
        without = union(repeats, *(rows.numbers for rows in failed))
        decided = self._decide(stage, others, defined, repeats)
        decided |= self._decide(stage, of_level, defined, without) if len(without) < stage.rows else {}
        for position in of_level:
            # Without rows that the expectation is about there is nothing to compare, as on a day with no store open.
            if position not in decided or pd.isna(decided[position][1]):
                undecided[position] = ready.pop(position)
        results = {n: row_result(e, len(numbers[n])) for n, e in self._of_rows.items()}
        results |= {n: delivery_result(ready[n], *decided[n]) for n in (*others, *of_level) if n in ready}
        results |= {n: undecided_result(e) for n, e in undecided.items()}
        return Validation(tuple(results[position] for position in sorted(results)), tuple(failed))

    def _failing_rows(self, stage: Stage, repeats: Numbers) -> dict[int, Numbers]:
        """Return the numbers of the rows that fail each expectation on rows, repeats left out."""
        found = {n: np.setdiff1d(union(*parts), repeats, assume_unique=True) for n, parts in self._batches.items()}
        rest = {n: self._of_rows[n] for n in sorted(self._left_to_others)}
        for position, expectation in list(rest.items()):
            if (query := shared_values(expectation, stage.schema)) is not None:
                rows = stage.con.execute(query.format(rows=stage.relation(repeats))).to_arrow_table()
                found[position] = union(rows["row"].to_numpy())
                del rest[position]
        if rest:
            typed = stage.table(repeats)
            for position, outcome in _evaluate(typed, rest, self._suite, self._measures).items():
                failing = [] if outcome.success else outcome.result["unexpected_index_list"]
                found[position] = union(typed["row"].to_numpy()[np.array(failing, np.int64)])
        return found

    def _decide(
        self, stage: Stage, expectations: Expectations, defined: Mapping[int, Any], without: Numbers
    ) -> dict[int, tuple[bool, Any]]:
        """Return whether expectations on the delivery hold, and what was observed."""
        found = figures(stage, expectations, self._measures, without)
        outcomes = {}
        for position, figure in found.items():
            try:
                outcome = defined[position]._validate(metrics=figure)
            except (TypeError, ValueError) as error:
                raise _not_evaluated(expectations[position], self._suite, str(error)) from error
            outcomes[position] = bool(outcome["success"]), outcome["result"].get("observed_value")
        rest = {n: e for n, e in expectations.items() if n not in found}
        if rest:
            for n, result in _evaluate(stage.table(without), rest, self._suite, self._measures).items():
                outcomes[n] = bool(result.success), result.result.get("observed_value")
        return outcomes


def with_measures(rows: pa.Table, measures: Mapping[str, str]) -> pa.Table:
    """Append the computed columns to rows."""
    numeric = [f.name for f in rows.schema if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)]
    frame = rows.select(numeric).cast(pa.schema([(name, pa.float64()) for name in numeric])).to_pandas()
    for name, formula in measures.items():
        rows = rows.append_column(name, pa.array(frame.eval(formula), pa.float64(), from_pandas=True))
    return rows


def _define(expectations: Expectations, suite: Suite) -> dict[int, Any]:
    """Return Great Expectations' objects of expectations, by position in the suite.

    Raises:
        UsageError: if it does not take one of them.
    """
    # Great Expectations returns them in an order of its own.
    marked = [{**e, "meta": {**e.get("meta", {}), POSITION: position}} for position, e in expectations.items()]
    try:
        defined = gx.ExpectationSuite(name=suite.file.stem, expectations=marked).expectations
    except (GreatExpectationsError, ValidationError, ValueError, TypeError) as error:
        raise UsageError(
            "The suite is not one that Great Expectations takes",
            where=str(suite.file),
            observed=error,
            todo="correct it",
        ) from error
    return {expectation.meta[POSITION]: expectation for expectation in defined}  # type: ignore[index]


def _evaluate(rows: pa.Table, expectations: Expectations, suite: Suite, measures: Mapping[str, str]) -> dict[int, Any]:
    """Have Great Expectations evaluate expectations, and return its results by position in the suite."""
    gx_suite = gx.ExpectationSuite(name=suite.file.stem, expectations=list(_define(expectations, suite).values()))
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": _frame(rows, measures)})
    outcomes = {}
    for outcome in batch.validate(gx_suite, result_format=FAILING_ROWS).results:
        position = outcome.expectation_config.meta[POSITION]  # type: ignore[union-attr]
        if outcome.exception_info and "raised_exception" not in outcome.exception_info:
            messages = {str(info.get("exception_message")) for info in outcome.exception_info.values()}
            raise _not_evaluated(expectations[position], suite, "; ".join(sorted(messages)))
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


def _columns(expectation: Mapping[str, Any]) -> set[str]:
    kwargs = expectation["kwargs"]
    return {str(kwargs.get("column")), *kwargs.get("column_list", ())}


def _not_evaluated(expectation: Mapping[str, Any], suite: Suite, observed: str) -> UsageError:
    return UsageError(
        "An expectation cannot be evaluated on these rows",
        where=f"{suite.file}: {expectation['type']} on {expectation['kwargs'].get('column', 'the table')}",
        observed=observed,
        todo="correct the suite",
    )
