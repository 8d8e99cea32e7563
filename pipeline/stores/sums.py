"""Compute intervals of sums of forecasts: of the chain, a state, a store type, or a store over several days.

The ends of single days' intervals do not add up: some errors cancel in a sum, and some do not. The error of a store's
day, log(sales / forecast), is taken as a sum of independent parts, and each part's variance is estimated from forecasts
of earlier folds, which were made out of sample:

    fold    common to all stores and days of a forecast: the chain does better or worse than expected for six weeks
    day     common to all stores on one day: the weather
    state   common to the days of a state's stores
    store   common to the days of a store
    rest    of one store on one day

In a sum with weights w = forecast / sum of forecasts, the fold counts in full, and each other part by the sum of
squares of its weights. A chain's six weeks are then as uncertain as the fold's part and little else. There are few
earlier folds, so the quantiles are those of Student's t with as many degrees of freedom.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from scipy.stats import t as student

from pipeline.stores.intervals import INTERVAL_LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ERROR = 1.0
"""Errors are clipped there, in logs: a half-closed day says nothing about sums."""
MORE_DEGREES = 1
"""Degrees of freedom beyond the number of folds less one: days and stores are many, and add to what folds tell."""
SUMS_FILE = "sums.json"
"""The file, stored with a registered model, that holds its `SumIntervals`."""
KINDS: Mapping[str, tuple[str, ...]] = {
    "chain": (),
    "state": ("state",),
    "store type": ("store_type",),
    "store": ("store",),
}
"""Kind of a sum over six weeks -> the columns that tell its sums apart."""


@dataclass(frozen=True)
class SumIntervals:
    """The variances of the parts of an error, in logs squared.

    Attributes:
        fold, day, state, store, rest: see above.
        folds: how many earlier folds they were estimated from.
    """

    fold: float
    day: float
    state: float
    store: float
    rest: float
    folds: int

    def to_record(self) -> dict[str, float]:
        """Return the variances in types that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, float]) -> Self:
        """Restore what `to_record` returned."""
        fold, day, state, store, rest = (record[part] for part in ("fold", "day", "state", "store", "rest"))
        return cls(fold, day, state, store, rest, int(record["folds"]))

    def of_sum(self, rows: pd.DataFrame) -> tuple[float, dict[float, tuple[float, float]]]:
        """Return the sum of the forecasts of rows, and its interval of each level.

        Args:
            rows: store, state, day and mean (the forecast, above 0) of at least one open day.
        """
        total = float(rows["mean"].sum())
        weights = rows["mean"] / total
        variance = self.fold + self.rest * float((weights**2).sum())
        for part in ("day", "state", "store"):
            variance += getattr(self, part) * float((weights.groupby(rows[part]).sum() ** 2).sum())
        return total, {
            level: (total * float(np.exp(-width)), total * float(np.exp(width)))
            for level in INTERVAL_LEVELS
            for width in [float(student.ppf((1 + level) / 2, self.folds + MORE_DEGREES - 1)) * variance**0.5]
        }


def calibrate_sums(past: pd.DataFrame) -> SumIntervals:
    """Estimate the variances from forecasts of earlier folds.

    Args:
        past: store, state, day, made_on, sales and mean of rows that were forecast out of sample, one fold or more.
            Rows without sales are left out.
    """
    sold = past[past["sales"] > 0]
    error = np.clip(np.log(sold["sales"] / sold["mean"]), -MAX_ERROR, MAX_ERROR)
    rows = sold[["store", "state", "day", "made_on"]].assign(error=error)
    parts = [_variances(fold) for _, fold in rows.groupby("made_on")]
    fold, day, state, store, rest = (float(value) for value in np.mean(parts, axis=0))
    return SumIntervals(fold, day, state, store, rest, folds=len(parts))


def coverage_of_sums(rows: pd.DataFrame, intervals: SumIntervals) -> dict[str, dict[str, float]]:
    """Return for each of `KINDS` how many sums a fold has, the shares within their intervals, and the mean width.

    Args:
        rows: store, state, store_type, day, sales and mean of the rows of a fold with sales.
        intervals: from folds before it.
    """
    found = {}
    for kind, columns in KINDS.items():
        groups = [group for _, group in rows.groupby(list(columns))] if columns else [rows]
        inside: dict[str, list[float]] = {}
        for group in groups:
            total, ends = intervals.of_sum(group)
            for level, (low, high) in ends.items():
                name = f"{level:.0%}".rstrip("%")
                inside.setdefault(f"coverage_{name}", []).append(float(low <= group["sales"].sum() <= high))
                inside.setdefault(f"width_{name}", []).append((high - low) / total)
        found[kind] = {"sums": float(len(groups)), **{name: float(np.mean(values)) for name, values in inside.items()}}
    return found


def _variances(fold: pd.DataFrame) -> tuple[float, ...]:
    """Return the variances of fold, day, state, store and rest in one fold; the first is a square of one error."""
    common = fold["error"].mean()
    by_day = fold.groupby("day")["error"]
    # A day on which most stores are closed is no day of the chain.
    enough = by_day.size() >= 0.3 * fold["store"].nunique()
    day = by_day.mean()[enough] - common
    without_day = fold["error"] - by_day.transform("mean")
    of_state = without_day.groupby(fold["state"])
    without_state = without_day - of_state.transform("mean")
    of_store = without_state.groupby(fold["store"])
    rest = float((without_state - of_store.transform("mean")).var(ddof=0))
    store = max(float((of_store.mean() ** 2).mean()) - rest / float(of_store.size().mean()), 0.0)
    return float(common**2), float((day**2).mean()), float((of_state.mean() ** 2).mean()), store, rest
