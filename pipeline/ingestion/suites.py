"""The suite of a table: its JSON file, the parameters that are filled in per delivery, and the results.

This module does not use Great Expectations, which takes seconds to import.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.ingestion.rows import Numbers

PARAMETER = "$PARAMETER"
RECENT_LEVEL = "recent_level"
MAX_QUARANTINED_SHARE = 0.2
"""The share of rejected rows above which a delivery is refused, unless the suite's `meta` says otherwise."""
MAX_SHOWN_REASONS = 3
OBSERVED_VALUE = re.compile(r""" \(.*\)$|(?<=: )(['"]).*\1 (?=is not)""", re.DOTALL)


@dataclass(frozen=True)
class Suite:
    """The expectations of a table.

    Attributes:
        file: where the suite is.
        expectations: the expectations, in Great Expectations' JSON form.
        max_quarantined_share: the share of rejected rows, from 0 to 1, above which a delivery is refused.
    """

    file: Path
    expectations: tuple[dict[str, Any], ...]
    max_quarantined_share: float = MAX_QUARANTINED_SHARE


@dataclass(frozen=True)
class Parameters:
    """Values that an expectation can refer to. They depend on the delivery; None means not known yet.

    Attributes:
        not_after: latest possible time of an event.
        last_day: last day that the delivery is for, if its address names its days.
        recent_rows: median number of rows of the recent days, for a delivery of one day.
        recent_levels: for an expectation that refers to `recent_level`, by its position in the suite, its figure on
            the recent days: of the days' medians, sums, means or shares the median.
    """

    not_after: datetime
    last_day: datetime | None = None
    recent_rows: float | None = None
    recent_levels: Mapping[int, float] = field(default_factory=dict)

    def values(self, position: int) -> dict[str, Any]:
        """Return the values that the expectation at a position of the suite can refer to, by name."""
        return {
            "not_after": self.not_after,
            "last_day": self.last_day,
            "recent_rows": self.recent_rows,
            RECENT_LEVEL: self.recent_levels.get(position),
        }


def reason_kind(reason: str) -> str:
    """Return a reason without the observed value, which differs from row to row, so that reasons can be counted."""
    return OBSERVED_VALUE.sub("", reason)


@dataclass(frozen=True)
class ExpectationResult:
    """The result of one expectation on one delivery.

    Attributes:
        expectation: Great Expectations' name of its type.
        column: the column or columns it is about; empty for the whole table.
        scope: `row` or `delivery`.
        reason: what is wrong with whatever fails it, from the suite.
        bounds: the allowed values, as text.
        passed: None if it could not be evaluated because its bounds are not known yet.
        failing: number of rows that fail it.
        observed: the observed value, as text; only for the scope `delivery`.
        warns: whether it only warns.
    """

    expectation: str
    column: str
    scope: str
    reason: str
    bounds: str
    passed: bool | None
    failing: int = 0
    observed: str = ""
    warns: bool = False

    @property
    def sentence(self) -> str:
        """What is wrong with a delivery that fails it, with the observed and the allowed values."""
        return f"{self.reason} (observed {self.observed}, allowed {self.bounds})"


@dataclass(frozen=True)
class FailedRows:
    """The rows that fail an expectation for which a row is rejected.

    Attributes:
        columns: the columns that it is about.
        reason: what is wrong with such a row.
        numbers: the numbers of the rows, in order.
    """

    columns: tuple[str, ...]
    reason: str
    numbers: Numbers


@dataclass(frozen=True)
class Validation:
    """The results of a suite on a delivery.

    Attributes:
        results: one for each expectation, in the order of the suite.
        failed: the rows to be rejected, expectation by expectation, in the same order.
    """

    results: tuple[ExpectationResult, ...]
    failed: tuple[FailedRows, ...] = ()

    @property
    def refusals(self) -> list[ExpectationResult]:
        """The results for which the delivery as a whole is refused."""
        return [r for r in self.results if r.scope == "delivery" and r.passed is False and not r.warns]

    @property
    def warnings(self) -> list[ExpectationResult]:
        """The failed results on the delivery as a whole that only warn."""
        return [r for r in self.results if r.scope == "delivery" and r.passed is False and r.warns]


def load_suite(file: Path) -> Suite:
    """Read a suite.

    Raises:
        UsageError: if the file is missing, or is not JSON of the form of a suite.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        share = float(content.get("meta", {}).get("max_quarantined_share", MAX_QUARANTINED_SHARE))
        if not 0 <= share <= 1:
            raise ValueError(f"max_quarantined_share is {share}")
        return Suite(file, tuple(dict(expectation) for expectation in content["expectations"]), share)
    except FileNotFoundError as error:
        raise UsageError(
            "The suite does not exist",
            where=str(file),
            todo="put it there, or unset AISLE_EXPECTATIONS to use the suites of the package",
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "The suite is not readable",
            where=str(file),
            observed=error,
            allowed='{"name": …, "meta": {"max_quarantined_share": from 0 to 1}, '
            '"expectations": [{"type": …, "kwargs": {…}, "meta": {"reason": …}}]}',
        ) from error


def quarantined_share(suite: Suite, rejected: int, checked: int, kinds: Counter[str]) -> ExpectationResult:
    """Compare the share of rejected rows with the suite's limit. A delivery without an accepted row always fails.

    Args:
        suite: the suite.
        rejected: number of rejected rows.
        checked: number of rows in the delivery except exact repeats.
        kinds: number of rejected rows for each kind of reason.
    """
    limit = suite.max_quarantined_share
    share = rejected / checked if checked else 0.0
    frequent = "".join(f", {kind}: {count:,}" for kind, count in kinds.most_common(MAX_SHOWN_REASONS))
    return ExpectationResult(
        expectation="max_quarantined_share",
        column="",
        scope="delivery",
        reason="too many rows break the contract",
        bounds=f"at most {limit:.1%} of the rows" if limit < 1 else "at least one accepted row",
        passed=share <= limit and share < 1,
        observed=f"{rejected:,} of {checked:,} rows, {share:.1%}{frequent}",
    )


def fill_in(
    expectations: Sequence[dict[str, Any]], parameters: Parameters
) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """Replace each keyword `{"$PARAMETER": name, "times": factor}` by the value of the parameter.

    `mostly` is removed: an expectation about rows applies to every row.

    Returns:
        The expectations with their values, and those that cannot be evaluated because all of their bounds are
        unknown; both by position in the suite.

    Raises:
        UsageError: if an expectation refers to a parameter that does not exist.
    """
    ready: dict[int, dict[str, Any]] = {}
    undecided: dict[int, dict[str, Any]] = {}
    for position, expectation in enumerate(expectations):
        values = parameters.values(position)
        kwargs = {k: v for k, v in expectation.get("kwargs", {}).items() if k != "mostly"}
        wanted = _parameters_of(kwargs)
        if unknown := sorted(set(wanted.values()) - set(values)):
            raise UsageError(
                "The suite refers to a parameter that does not exist",
                where=str(expectation.get("type")),
                observed=", ".join(unknown),
                allowed=", ".join(values),
            )
        filled = kwargs | {k: _times(name, values[name], kwargs[k].get("times")) for k, name in wanted.items()}
        if wanted and all(filled[k] is None for k in wanted) and not _has_fixed_bound(filled):
            undecided[position] = expectation | {"kwargs": kwargs}
        else:
            ready[position] = expectation | {"kwargs": filled}
    return ready, undecided


def positions_with(expectations: Sequence[Mapping[str, Any]], parameter: str) -> list[int]:
    """Return the positions of the expectations that refer to a parameter."""
    all_kwargs = (expectation.get("kwargs") for expectation in expectations)
    return [n for n, k in enumerate(all_kwargs) if isinstance(k, dict) and parameter in _parameters_of(k).values()]


def _parameters_of(kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameter that each keyword refers to, for those that refer to one."""
    return {k: v[PARAMETER] for k, v in kwargs.items() if isinstance(v, dict) and PARAMETER in v}


def _times(name: str, value: Any, factor: float | None) -> Any:
    if value is None or factor is None:
        return value
    return round(value * factor) if name == "recent_rows" else float(f"{value * factor:.6g}")


def _has_fixed_bound(kwargs: Mapping[str, Any]) -> bool:
    return any(kwargs.get(bound) is not None for bound in ("min_value", "max_value"))
