"""Great Expectations on a delivery; the only module that knows its API.

A suite is a JSON file that people edit (`expectations/<table>.json`, Great Expectations' own form). Expectations on
the values of a column judge rows: those that fail go to quarantine, and `mostly` lets none of them through.
All others judge the delivery as a whole: one that fails refuses it.
One whose `severity` is `warning` only says so on the delivery's page: what breaks it stands.
A keyword `{"$PARAMETER": name, "times": factor}` is filled in for each delivery; see `Parameters`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
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

WHETHER = {"result_format": "BOOLEAN_ONLY"}
WHERE = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
"""Whether anything fails is asked first, for most days it is all, and takes half the time of asking which rows do."""
EARLIEST, LATEST = datetime(1678, 1, 1), datetime(2262, 1, 1)
"""What nanoseconds can tell; other times are judged as the nearest of these."""
POSITION = "position"
SHOWN = 40
SEPARATOR = ", "
"""Between the columns that one expectation is about, and between their values."""


@dataclass(frozen=True)
class Parameters:
    """What a suite may ask of the delivery and its surroundings; one whose bounds are all unknown is left out.

    Attributes:
        not_after: an event cannot have happened later than this.
        last_day: the last day that the delivery is for, where its address says so.
        recent_rows: the median number of rows of the recent days, for a delivery of one day.
    """

    not_after: datetime
    last_day: datetime | None = None
    recent_rows: float | None = None


@dataclass(frozen=True)
class ExpectationResult:
    """What one expectation said.

    Attributes:
        judges: `row` or `delivery`.
        passed: None where it could not be asked, because what it compares with is not known yet.
        failing: how many rows break it, and go to quarantine unless it only warns.
        warns: whether it only warns.
    """

    expectation: str
    column: str
    judges: str
    reason: str
    bounds: str
    passed: bool | None
    failing: int = 0
    observed: str = ""
    warns: bool = False


@dataclass(frozen=True)
class Validation:
    """What a suite said of a delivery.

    Attributes:
        verdicts: one for each expectation, in the suite's order.
        faults: for each failing row (its position in the table), the reasons by column.
    """

    verdicts: tuple[ExpectationResult, ...]
    faults: dict[int, dict[str, list[str]]] = field(default_factory=dict)

    @property
    def refusals(self) -> list[ExpectationResult]:
        """The verdicts that refuse the delivery as a whole."""
        return [v for v in self.verdicts if v.judges == "delivery" and v.passed is False and not v.warns]


def validate(rows: pa.Table, suite: Path, parameters: Parameters) -> Validation:
    """Hold a delivery's typed rows against a suite.

    Raises:
        UsageError: if the suite is missing, is no suite, or asks what cannot be asked of these rows.
    """
    asked, left_out = _fill_in(_load(suite), asdict(parameters))
    frame = _frame(rows)
    of_rows = {position: expectation for position, expectation in asked.items() if _judges_rows(expectation)}
    of_delivery = {position: expectation for position, expectation in asked.items() if position not in of_rows}
    whether = _answers(frame, of_rows, suite, WHETHER)
    failed = {position: expectation for position, expectation in of_rows.items() if not whether[position].success}
    answers = whether | _answers(frame, failed, suite, WHERE) | _answers(frame, of_delivery, suite, WHERE)
    verdicts = left_out | {position: _verdict(answers[position], asked[position]) for position in asked}
    faults: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for position in failed:
        verdict = verdicts[position]
        if verdict.warns:
            continue
        for index in answers[position].result["unexpected_index_list"]:
            observed = [rows[name][index].as_py() for name in verdict.column.split(SEPARATOR)]
            shown = "" if None in observed else f" ({SEPARATOR.join(str(value)[:SHOWN] for value in observed)})"
            faults[int(index)][verdict.column].append(verdict.reason + shown)
    return Validation(
        tuple(verdicts[position] for position in sorted(verdicts)),
        {row: dict(columns) for row, columns in faults.items()},
    )


def _answers(
    frame: pd.DataFrame, asked: Mapping[int, Mapping[str, Any]], suite: Path, form: dict[str, Any]
) -> dict[int, Any]:
    """What Great Expectations says of each expectation, by its position in the suite."""
    if not asked:
        return {}
    # Its answers come in an order of its own.
    marked = [{**e, "meta": {**e.get("meta", {}), POSITION: position}} for position, e in asked.items()]
    try:
        expectations = gx.ExpectationSuite(name=suite.stem, expectations=marked)
    except (GreatExpectationsError, ValidationError, ValueError, TypeError) as error:
        raise UsageError(
            "The suite is not one that Great Expectations takes", where=str(suite), observed=error, todo="mend it"
        ) from error
    batch = _batch_definition().get_batch(batch_parameters={"dataframe": frame})
    answers = {}
    for answer in batch.validate(expectations, result_format=form).results:
        position = answer.expectation_config.meta[POSITION]  # type: ignore[union-attr]
        _refuse_unanswerable(answer, asked[position], suite)
        answers[position] = answer
    return answers


def _frame(rows: pa.Table) -> pd.DataFrame:
    """The rows as Great Expectations judges them fastest: it loops over other timestamps than those in nanoseconds,
    and hashes every text unless they are categories."""
    columns = {}
    for of in rows.schema:
        column = rows[of.name]
        if pa.types.is_map(of.type):
            continue  # nothing can be asked of a map; a contract derives what its suite asks
        if pa.types.is_timestamp(of.type) or pa.types.is_date(of.type):
            column = column.cast(pa.timestamp("us"))
            column = pc.min_element_wise(column, LATEST, skip_nulls=False)
            column = pc.max_element_wise(column, EARLIEST, skip_nulls=False)
            column = column.cast(pa.timestamp("ns"))
        elif pa.types.is_string(of.type):
            column = column.dictionary_encode()
        columns[of.name] = column
    frame: pd.DataFrame = pa.table(columns).to_pandas(split_blocks=True)
    return frame


@cache
def _batch_definition() -> BatchDefinition[Any]:
    """Great Expectations' way to a data frame, made once a process: nothing of it is kept on disk."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return (
        context.data_sources.add_pandas("aisle").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )


def _load(suite: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(suite.read_text(encoding="utf-8"))
        expectations = [dict(expectation) for expectation in content["expectations"]]
    except FileNotFoundError as error:
        raise UsageError("The suite does not exist", where=str(suite), todo="set AISLE_EXPECTATIONS") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "The suite is not readable",
            where=str(suite),
            observed=error,
            allowed='{"name": …, "expectations": [{"type": …, "kwargs": {…}, "meta": {"reason": …}}]}',
        ) from error
    # Great Expectations would leave out what it does not know, and say so in the log only.
    faults = [
        f"number {number}: {expectation.get('type')}"
        for number, expectation in enumerate(expectations, 1)
        if _kind(expectation) is None
        or not all(isinstance(expectation.get(part, {}), dict) for part in ("kwargs", "meta"))
    ]
    if faults:
        raise UsageError(
            "The suite has expectations that are none",
            where=str(suite),
            observed=", ".join(faults),
            allowed='{"type": "expect_…", "kwargs": {…}, "meta": {"reason": …}}, of Great Expectations\' gallery',
        )
    return expectations


def _kind(expectation: Mapping[str, Any]) -> type | None:
    """The class of an expectation; None if Great Expectations has none of its type."""
    name = str(expectation.get("type")).title().replace("_", "")
    kind = getattr(gx.expectations, name, None)
    return kind if isinstance(kind, type) else None


def _judges_rows(expectation: Mapping[str, Any]) -> bool:
    """Whether an expectation is about the values of a column, or of several, row by row."""
    kind = _kind(expectation)
    return kind is not None and issubclass(kind, ColumnMapExpectation | MulticolumnMapExpectation)


def _fill_in(
    expectations: list[dict[str, Any]], parameters: Mapping[str, Any]
) -> tuple[dict[int, dict[str, Any]], dict[int, ExpectationResult]]:
    """Put parameters in; set aside the expectations whose bounds are all unknown for this delivery."""
    asked: dict[int, dict[str, Any]] = {}
    left_out: dict[int, ExpectationResult] = {}
    for position, expectation in enumerate(expectations):
        kwargs = {k: v for k, v in expectation.get("kwargs", {}).items() if k != "mostly"}
        wanted = {k: v["$PARAMETER"] for k, v in kwargs.items() if isinstance(v, dict) and "$PARAMETER" in v}
        if unknown := sorted(set(wanted.values()) - set(parameters)):
            raise UsageError(
                "The suite asks for a parameter that does not exist",
                where=str(expectation.get("type")),
                observed=", ".join(unknown),
                allowed=", ".join(parameters),
            )
        filled = kwargs | {k: _times(parameters[name], kwargs[k].get("times")) for k, name in wanted.items()}
        if wanted and all(filled[k] is None for k in wanted) and not _has_fixed_bound(filled):
            left_out[position] = _said(expectation | {"kwargs": kwargs}, "delivery", None, bounds="not known yet")
        else:
            asked[position] = expectation | {"kwargs": filled}
    return asked, left_out


def _times(value: Any, factor: float | None) -> Any:
    return value if value is None or factor is None else round(value * factor)


def _has_fixed_bound(kwargs: Mapping[str, Any]) -> bool:
    return any(kwargs.get(bound) is not None for bound in ("min_value", "max_value"))


def _refuse_unanswerable(answer: Any, asked: Mapping[str, Any], suite: Path) -> None:
    if answer.exception_info and "raised_exception" not in answer.exception_info:
        messages = {str(info.get("exception_message")) for info in answer.exception_info.values()}
        raise UsageError(
            "An expectation cannot be asked of these rows",
            where=f"{suite}: {asked['type']} on {asked['kwargs'].get('column', 'the table')}",
            observed="; ".join(sorted(messages)),
            todo="mend the suite",
        )


def _verdict(answer: Any, asked: Mapping[str, Any]) -> ExpectationResult:
    if _judges_rows(asked):
        failing = 0 if answer.success else int(answer.result["unexpected_count"])
        return _said(asked, "row", bool(answer.success), failing=failing)
    return _said(asked, "delivery", bool(answer.success), observed=str(answer.result.get("observed_value", "")))


def _said(
    asked: Mapping[str, Any],
    judges: str,
    passed: bool | None,
    *,
    bounds: str | None = None,
    failing: int = 0,
    observed: str = "",
) -> ExpectationResult:
    kwargs = asked["kwargs"]
    about = ("column", "column_list", "condition_parser")
    told = ", ".join(f"{name} {value}" for name, value in kwargs.items() if name not in about and value is not None)
    return ExpectationResult(
        expectation=asked["type"],
        column=kwargs.get("column") or SEPARATOR.join(kwargs.get("column_list", ())),
        judges=judges,
        reason=asked.get("meta", {}).get("reason", asked["type"].removeprefix("expect_").replace("_", " ")),
        bounds=told if bounds is None else bounds,
        passed=passed,
        failing=failing,
        observed=observed,
        warns=asked.get("severity") == "warning",
    )
