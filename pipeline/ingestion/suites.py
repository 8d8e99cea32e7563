"""The suite of a table: the JSON file with its expectations, and the parameters that are filled in per delivery."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError

PARAMETER = "$PARAMETER"


@dataclass(frozen=True)
class Parameters:
    """Values that an expectation can refer to. They depend on the delivery; None means not known yet.

    Attributes:
        not_after: latest possible time of an event.
        last_day: last day that the delivery is for, if its address names its days.
        recent_rows: median number of rows of the recent days, for a delivery of one day.
    """

    not_after: datetime
    last_day: datetime | None = None
    recent_rows: float | None = None


def load_suite(file: Path) -> list[dict[str, Any]]:
    """Read the expectations of a suite.

    Raises:
        UsageError: if the file is missing, or is not JSON of the form of a suite.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [dict(expectation) for expectation in content["expectations"]]
    except FileNotFoundError as error:
        raise UsageError(
            "The suite does not exist",
            where=str(file),
            todo="put it there, or unset AISLE_EXPECTATIONS to use the suites of the package",
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            "The suite is not readable",
            where=str(file),
            observed=error,
            allowed='{"name": …, "expectations": [{"type": …, "kwargs": {…}, "meta": {"reason": …}}]}',
        ) from error


def fill_in(
    expectations: list[dict[str, Any]], parameters: Parameters
) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """Replace each keyword `{"$PARAMETER": name, "times": factor}` by the value of the parameter.

    `mostly` is removed: an expectation about rows applies to every row.

    Returns:
        The expectations with their values, and those that cannot be evaluated because all of their bounds are
        unknown; both by position in the suite.

    Raises:
        UsageError: if an expectation refers to a parameter that does not exist.
    """
    values = asdict(parameters)
    ready: dict[int, dict[str, Any]] = {}
    undecided: dict[int, dict[str, Any]] = {}
    for position, expectation in enumerate(expectations):
        kwargs = {k: v for k, v in expectation.get("kwargs", {}).items() if k != "mostly"}
        wanted = {k: v[PARAMETER] for k, v in kwargs.items() if isinstance(v, dict) and PARAMETER in v}
        if unknown := sorted(set(wanted.values()) - set(values)):
            raise UsageError(
                "The suite refers to a parameter that does not exist",
                where=str(expectation.get("type")),
                observed=", ".join(unknown),
                allowed=", ".join(values),
            )
        filled = kwargs | {k: _times(values[name], kwargs[k].get("times")) for k, name in wanted.items()}
        if wanted and all(filled[k] is None for k in wanted) and not _has_fixed_bound(filled):
            undecided[position] = expectation | {"kwargs": kwargs}
        else:
            ready[position] = expectation | {"kwargs": filled}
    return ready, undecided


def _times(value: Any, factor: float | None) -> Any:
    return value if value is None or factor is None else round(value * factor)


def _has_fixed_bound(kwargs: Mapping[str, Any]) -> bool:
    return any(kwargs.get(bound) is not None for bound in ("min_value", "max_value"))
