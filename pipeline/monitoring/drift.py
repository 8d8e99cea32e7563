"""Drift of columns between two data frames: Evidently behind one adapter.

`watch` reads the rows and records the result, `policy` decides whether to train again.

Methods and thresholds are fixed for each column, because Evidently's own choice changes with the number of rows, and
only distances are used: the p-value of a test calls any difference drift once there are rows enough.

- Numbers: Wasserstein distance over the reference's standard deviation, so 0.2 means "moved by a fifth of a standard
  deviation", a small effect in Cohen's sense (1988, Statistical Power Analysis). Heavy tails are compared on a signed
  log scale; otherwise their largest customer sets the standard deviation and hides everybody else.
- Categories: Jensen-Shannon distance (natural log). 0.1 is one of two equal halves growing to 64 %. More categories
  are noisier, so a column of many has 0.15.

Two independent samples of 500 from one population exceed these thresholds less than once in a hundred times (99th
percentile of 400 draws: 0.18 to 0.20 for numbers, 0.09 for seven categories, 0.11 for twelve), and of 300 clearly more
often: hence `minimum_rows`. The customers of two days are mostly the same people, which is quieter still.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from pipeline.errors import UsageError
from pipeline.reports.labels import ASKED
from pipeline.training.monitored import ColumnDrift, DriftKind, Method, Performance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.monitoring.distributions import Distribution

NOTHING_NEW: Literal["nothing to compare yet"] = "nothing to compare yet"
DriftStatus = Literal["drift", "no drift", "too few rows", "nothing to compare yet"]

MISSING_SHARE = 0.1
"""A column has drifted, whatever its values, when the share of missing ones has moved by this much."""


@dataclass(frozen=True)
class DriftOutcome:
    """The result of a comparison.

    Attributes:
        verdict: drift of any column; "nothing to compare yet" where the current rows are those of the training.
        columns: one result a column.
        reference_rows, current_rows: rows of the training, and of the day that is checked.
        html: Evidently's page, which needs no network; empty where there was too little to compare.
        performance: the error on predictions with known outcomes, where there are enough.
        request_rows: how many rows of requests were compared.
        distributions: of the columns that were compared, see `pipeline.monitoring.distributions`.
    """

    verdict: DriftStatus
    columns: tuple[ColumnDrift, ...]
    reference_rows: int
    current_rows: int
    html: bytes = field(repr=False)
    performance: Performance | None = None
    request_rows: int = 0
    distributions: tuple[Distribution, ...] = ()

    def with_requests(self, requests: DriftOutcome) -> DriftOutcome:
        """Add how the inputs of the prediction service's requests differ from the training.

        They are reported, and no reason to train again: they depend on who sends requests, not on the shop.
        """
        columns = tuple(
            replace(column, column=f"{column.column}{ASKED}", kind="request") for column in requests.columns
        )
        return replace(self, columns=(*self.columns, *columns), request_rows=requests.current_rows)

    def with_performance(self, performance: Performance | None) -> DriftOutcome:
        """Add the error on predictions with known outcomes. A grown error is drift, however few rows were compared."""
        if performance is None:
            return self
        column = performance.column
        verdict: DriftStatus = "drift" if column.drifted else self.verdict
        return replace(self, verdict=verdict, columns=(*self.columns, column), performance=performance)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the drifted columns."""
        return tuple(column.column for column in self.columns if column.drifted)

    def distribution_of(self, column: ColumnDrift) -> Distribution | None:
        """How a column's values are distributed; None for errors and where nothing was compared."""
        name = column.column.removesuffix(ASKED) if column.kind == "request" else column.column
        return next((found for found in self.distributions if found.column == name), None)

    def means_of(self, column: ColumnDrift) -> tuple[float | None, float | None]:
        """The mean at training and on the day (or of the requests); None for categories and errors."""
        found = self.distribution_of(column)
        side = found.current_of(column.kind) if found else None
        return (found.training.mean, side.mean) if found and side else (None, None)

    def rows_of(self, column: ColumnDrift) -> int:
        """The number of current rows behind a column's score."""
        if column.kind == "request":
            return self.request_rows
        return self.performance.rows if self.performance and column.kind == "performance" else self.current_rows

    def share(self, kind: DriftKind = "data") -> float:
        """Share of a kind's columns that drifted; 0 if there are none."""
        flags = [column.drifted for column in self.columns if column.kind == kind]
        return sum(flags) / len(flags) if flags else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it, without the page."""
        return {
            "verdict": self.verdict,
            "share_of_data": self.share("data"),
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "columns": [asdict(column) for column in self.columns],
            "performance": asdict(self.performance) if self.performance else None,
            "distributions": [asdict(distribution) for distribution in self.distributions],
        }


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Mapping[str, Method],
    *,
    seed: int,
    sample: int,
    minimum_rows: int,
) -> DriftOutcome:
    """Compare current rows with reference rows, column by column.

    Args:
        reference: what the model was trained on.
        current: what it predicts now.
        columns: how each is compared; others are ignored.
        seed: of the samples, which depend on the order of rows.
        sample: at most this many rows of each side.
        minimum_rows: with fewer on either side the verdict is "too few rows", never "no drift".

    Raises:
        UsageError: if a column is missing on a side.
    """
    for side, frame in (("reference", reference), ("current", current)):
        if absent := sorted(set(columns) - set(frame.columns)):
            raise UsageError("Columns to be compared are missing", where=f"{side} rows", observed=absent)
    rows = len(reference), len(current)
    if min(rows) < minimum_rows:
        return DriftOutcome("too few rows", (), *rows, html=b"")

    before = _prepared(reference, columns, seed, sample)
    after = _prepared(current, columns, seed, sample)
    enough = [name for name in columns if min(before[name].count(), after[name].count()) >= minimum_rows]
    scores, page = _evidently(before[enough], after[enough], {name: columns[name] for name in enough})
    found = []
    for name, method in columns.items():
        missing = float(before[name].isna().mean()), float(after[name].isna().mean())
        score = scores.get(name)
        far = score is not None and score >= method.threshold
        drifted = far or abs(missing[0] - missing[1]) >= MISSING_SHARE
        found.append(ColumnDrift(name, method.kind, method.name, method.threshold, score, drifted, *missing))
    if not scores:
        return DriftOutcome("too few rows", tuple(found), *rows, html=b"")
    verdict: DriftStatus = "drift" if any(column.drifted for column in found) else "no drift"
    return DriftOutcome(verdict, tuple(found), *rows, html=page)


def _prepared(frame: pd.DataFrame, columns: Mapping[str, Method], seed: int, sample: int) -> pd.DataFrame:
    """The rows and scales that are compared: numbers or NaN, or categories as text."""
    rows = frame.sample(min(sample, len(frame)), random_state=seed).reset_index(drop=True)
    return pd.DataFrame({name: comparable(rows[name], method) for name, method in columns.items()})


def comparable(values: pd.Series[Any], method: Method) -> pd.Series[Any]:
    """The values as they are compared: categories as text, numbers or NaN, on the signed logarithm where asked."""
    if method.categorical:
        return values.astype("object").where(values.notna(), "(missing)").astype("str")
    numbers = values.astype("float64").replace([np.inf, -np.inf], np.nan)
    return pd.Series(np.sign(numbers) * np.log1p(numbers.abs())) if method.log else numbers


def _evidently(
    reference: pd.DataFrame, current: pd.DataFrame, columns: Mapping[str, Method]
) -> tuple[dict[str, float], bytes]:
    """Compute the score of each column, and Evidently's page. Its import takes seconds, so it happens only here."""
    if not columns:
        return {}, b""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    shown = {name: f"{name} (log)" if method.log else name for name, method in columns.items()}
    definition = DataDefinition(
        numerical_columns=[shown[name] for name, method in columns.items() if not method.categorical],
        categorical_columns=[shown[name] for name, method in columns.items() if method.categorical],
    )
    # Column by column: Evidently's presets add a verdict of their own over all columns, which could contradict ours.
    metrics = [
        ValueDrift(column=shown[name], method=method.name, threshold=method.threshold)
        for name, method in columns.items()
    ]
    now, then = (Dataset.from_pandas(rows.rename(columns=shown), definition) for rows in (current, reference))
    snapshot = Report(metrics).run(now, then)
    values = {metric["config"]["column"]: float(metric["value"]) for metric in snapshot.dict()["metrics"]}
    # Rounding can take the square of the Jensen-Shannon distance of equal shares just below 0, and its root to NaN.
    scores = {name: 0.0 if math.isnan(values[shown[name]]) else values[shown[name]] for name in columns}
    return scores, _escaped(snapshot.get_html_str(as_iframe=False)).encode()


def _escaped(page: str) -> str:
    """Evidently's page, in which no text of a delivery can end the script that holds the data.

    Evidently writes the data as JSON into a script, where `</script>` ends the script and is no text.
    """
    start = page.index("<script>\n    var ") + len("<script>")
    # JSON has no line breaks, so this is the end that Evidently wrote.
    end = page.index("\n</script>", start)
    data = page[start:end]
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return page[:start] + data + page[end:]
