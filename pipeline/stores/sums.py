"""Compute intervals of sums of forecasts: of the chain, a state, a store type, or a store, over several days.

The ends of single days' intervals do not add up: some errors cancel in a sum, and some do not. The error of a store's
day, log(sales / forecast), is taken as a sum of independent parts (`PARTS`), each common to some of the days: to all of
them, to a week of the whole chain, to a store, and so on; the last is of one store on one day. In a sum with the shares
w = forecast / sum of forecasts, a part of variance v contributes v times the sum, over what the part tells apart, of
the squared shares. So a chain's six weeks are as uncertain as the part that is common to all, and little else.

**Variances** are estimated from forecasts of earlier folds, which were made out of sample, by the method of moments
(Searle, Casella and McCulloch, Variance Components, 1992): for each part, the mean square of the errors of its sums is
set equal to what all variances together make of it, and the equations are solved with no variance below 0 (Lawson and
Hanson 1974). That of a fold is the mean square of the chain's errors as it is: folds are few, and less what weeks and
days make of it, it came out near 0 by chance.

**Quantiles** differ, because so does what is known of a part. What a whole fold has in common was seen once per fold,
so its quantiles are those of Student's t with as many degrees of freedom. Weeks and days of the chain are many, and
normal. The errors of single stores have heavier tails than the normal distribution and a narrower middle; the quantiles
of their sums are those that the stores' sums had in earlier folds. The widths of the three add up like those of
independent errors, by their squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import norm
from scipy.stats import t as student

from pipeline.stores.intervals import INTERVAL_LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[Any]
    Ints = NDArray[np.integer[Any]]

MAX_ERROR = 1.0
"""Errors are clipped there, in logs: a half-closed day says nothing about sums."""
MIN_VARIANCE = 1e-12
"""Below it, variances and squares are those of rounding."""
MIN_OWN_SUMS = 100
"""Sums of stores in earlier folds that their quantiles need; with fewer, those of the normal distribution are taken."""
WEEK_DAYS = 7
SUMS_FILE = "sums.json"
"""The file, stored with a registered model, that holds its `SumIntervals`."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "fold": (),
    "week": ("week",),
    "day": ("day",),
    "state": ("state",),
    "store_type": ("store_type",),
    "state_week": ("state", "week"),
    "store": ("store",),
    "store_week": ("store", "week"),
    "rest": ("store", "day"),
}
"""Part of an error -> the columns whose rows share it."""
OF_FOLD, OF_CHAIN = ("fold",), ("week", "day")
OF_STORES = tuple(name for name in PARTS if name not in (*OF_FOLD, *OF_CHAIN))
KINDS: Mapping[str, tuple[str, ...]] = {
    "chain": (),
    "chain_week": ("week",),
    "state": ("state",),
    "state_week": ("state", "week"),
    "store_type": ("store_type",),
    "store": ("store",),
    "store_week": ("store", "week"),
}
"""Kind of a sum -> the columns that tell its sums apart."""
ENDS = ("low_80", "high_80", "low_95", "high_95")
SUM_COLUMNS = ("store_days", "first", "last", "sum", *ENDS)


@dataclass(frozen=True)
class SumIntervals:
    """What intervals of sums are computed from.

    Attributes:
        variances: of each of `PARTS`, in logs squared.
        own: level (0.8, 0.95) -> the quantile of the part of stores, in units of its standard deviation.
        folds: how many earlier folds they were estimated from.
    """

    variances: dict[str, float]
    own: dict[float, float]
    folds: int

    def to_record(self) -> dict[str, Any]:
        """Return everything in types that JSON can hold."""
        own = {str(level): value for level, value in self.own.items()}
        return {"variances": self.variances, "own": own, "folds": self.folds}

    @classmethod
    def from_artefacts(cls, artefacts: Mapping[str, Any]) -> Self | None:
        """Restore what a model version kept; None if it is of a release that kept something else, or nothing."""
        record = artefacts.get(SUMS_FILE, {})
        if "variances" not in record:
            return None
        return cls(
            {name: float(record["variances"][name]) for name in PARTS},
            {float(level): float(value) for level, value in record["own"].items()},
            int(record["folds"]),
        )

    def of_sums(self, rows: pd.DataFrame, kind: str) -> pd.DataFrame:
        """Return the sums of a kind: `KINDS[kind]` and `SUM_COLUMNS`, ordered by the former.

        Args:
            rows: store, state, store_type, day, ahead (days from the first day to forecast) and mean (the forecast,
                above 0) of at least one open day.
            kind: one of `KINDS`.
        """
        columns = list(KINDS[kind])
        rows = _with_weeks(rows)
        group = _codes(rows, columns)
        mean = rows["mean"].to_numpy(float)
        spread = _squared_shares(rows, group)
        found = rows.assign(group=group).groupby("group")
        sums = found.agg(
            **{name: (name, "first") for name in columns},
            store_days=("mean", "size"),
            first=("day", "min"),
            last=("day", "max"),
        )
        total = np.bincount(group, mean)
        ends: dict[str, Floats] = {"sum": total}
        for level in INTERVAL_LEVELS:
            width, name = self._width(spread, level), f"{level:.0%}".rstrip("%")
            ends |= {f"low_{name}": total * np.exp(-width), f"high_{name}": total * np.exp(width)}
        return sums.assign(**ends).reset_index(drop=True)

    def _width(self, spread: Mapping[str, Floats], level: float) -> Floats:
        """Return half the width of each sum's interval, in logs."""
        tail = (1 + level) / 2
        quantiles = {
            OF_FOLD: float(student.ppf(tail, self.folds)),
            OF_CHAIN: float(norm.ppf(tail)),
            OF_STORES: self.own[level],
        }
        square = sum(
            quantile**2 * self.variances[part] * spread[part] for parts, quantile in quantiles.items() for part in parts
        )
        return np.asarray(np.sqrt(square))


def calibrate_sums(past: pd.DataFrame) -> SumIntervals:
    """Estimate variances and quantiles from forecasts of earlier folds.

    Args:
        past: store, state, store_type, day, ahead, made_on, sales and mean of rows that were forecast out of sample,
            one fold or more. Rows without sales are left out.
    """
    sold = _with_weeks(past[past["sales"] > 0])
    folds = [fold for _, fold in sold.groupby("made_on")]
    moments = [_moments(fold) for fold in folds]
    matrix, squares = (np.mean([moment[k] for moment in moments], axis=0) for k in (0, 1))
    squares = np.maximum(squares, MIN_VARIANCE)
    # Each equation counts in proportion, so that the small variances are not lost among the large.
    solution, _ = nnls(matrix / squares[:, None], np.ones(len(squares)))
    variances = dict(zip(PARTS, map(float, np.maximum(solution, MIN_VARIANCE)), strict=True))
    variances["fold"] = max(variances["fold"], float(squares[0]))
    errors = np.concatenate([_stores_errors(fold, variances) for fold in folds])
    if len(errors) < MIN_OWN_SUMS:
        own = {level: float(norm.ppf((1 + level) / 2)) for level in INTERVAL_LEVELS}
    else:
        own = {level: float(np.quantile(np.abs(errors), level)) for level in INTERVAL_LEVELS}
    return SumIntervals(variances, own, folds=len(folds))


def coverage_of_sums(rows: pd.DataFrame, intervals: SumIntervals) -> dict[str, dict[str, float]]:
    """Return for each of `KINDS` how many sums a fold has, the shares within their intervals, and the mean width.

    Args:
        rows: store, state, store_type, day, ahead, sales and mean of the rows of a fold with sales.
        intervals: from folds before it.
    """
    found = {}
    for kind, columns in KINDS.items():
        sums = intervals.of_sums(rows, kind)
        actual = np.bincount(_codes(_with_weeks(rows), columns), rows["sales"].to_numpy(float))
        found[kind] = {"sums": float(len(sums))}
        for level in ("80", "95"):
            low, high = sums[f"low_{level}"], sums[f"high_{level}"]
            found[kind][f"coverage_{level}"] = float(((actual >= low) & (actual <= high)).mean())
            found[kind][f"width_{level}"] = float(((high - low) / sums["sum"]).mean())
    return found


def _with_weeks(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(week=rows["ahead"].to_numpy().astype(np.int64) // WEEK_DAYS)


def _codes(rows: pd.DataFrame, columns: Sequence[str]) -> Ints:
    """Return a number from 0 for each row, equal where the columns are, in their order: (rows,)."""
    if not columns:
        return np.zeros(len(rows), np.int64)
    return rows.groupby(list(columns)).ngroup().to_numpy(np.int64)


def _squared_shares(rows: pd.DataFrame, group: Ints) -> dict[str, Floats]:
    """Return the sum of squared shares of the forecasts of each of `PARTS` in each group: (groups,) each."""
    mean = rows["mean"].to_numpy(float)
    total = np.bincount(group, mean)
    spread = {}
    for part, columns in PARTS.items():
        code = _codes(rows, columns)
        _, first, cell = np.unique(group * (code.max() + 1) + code, return_index=True, return_inverse=True)
        of_cell = group[first]
        spread[part] = np.bincount(of_cell, (np.bincount(cell, mean) / total[of_cell]) ** 2, len(total))
    return spread


def _moments(fold: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the equations of one fold: (parts, parts), and the mean squares of the errors of its sums, (parts,)."""
    mean = fold["mean"].to_numpy(float)
    error = np.clip(np.log(fold["sales"].to_numpy(float) / mean), -MAX_ERROR, MAX_ERROR)
    matrix, squares = [], []
    for columns in PARTS.values():
        group = _codes(fold, columns)
        total = np.bincount(group, mean)
        squares.append(np.average((np.bincount(group, mean * error) / total) ** 2, weights=total))
        matrix.append([np.average(shares, weights=total) for shares in _squared_shares(fold, group).values()])
    return np.array(matrix), np.array(squares)


def _stores_errors(fold: pd.DataFrame, variances: Mapping[str, float]) -> Floats:
    """Return the errors of the stores' sums of one fold, without their mean and in units of what they should be."""
    group = _codes(fold, ("store",))
    spread = _squared_shares(fold, group)
    expected = np.sqrt(sum(variances[part] * spread[part] for part in OF_STORES))
    error = np.log(np.bincount(group, fold["sales"].to_numpy(float)) / np.bincount(group, fold["mean"].to_numpy(float)))
    return np.asarray((error - error.mean()) / expected)
