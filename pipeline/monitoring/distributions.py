"""How the values of a column were distributed at training and are on a day: shares and means, never rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.monitoring.drift import comparable
from pipeline.training.monitored import DriftKind, Method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BINS = 20
TAIL = 0.01
"""The bins span the values between these quantiles of both sides together; what is further out is in the last bin."""
MAX_CATEGORIES = 24
"""The largest categories have a share of their own: as many as a day has hours."""
OTHERS = "(others)"


@dataclass(frozen=True)
class Values:
    """The values of one side.

    Attributes:
        rows: how many rows there are, with those that miss the value.
        mean, median: of numbers; None for categories and without any value.
        shares: of the values in each bin, or of the rows in each category; they sum to 1, or to 0 without any.
    """

    rows: int
    mean: float | None
    median: float | None
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """A column at training, on the day, and in the requests to the prediction service.

    Attributes:
        column: its name.
        log: whether the bins are equally wide on the signed logarithm, on which such a column is compared.
        edges: the ends of the bins in the unit of the column, one more than there are bins; empty for categories.
        categories: their texts; empty for numbers.
        training, day: the two sides that are compared.
        requests: what the service was asked; None where nothing was.
    """

    column: str
    log: bool
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    training: Values
    day: Values
    requests: Values | None = None

    def current_of(self, kind: DriftKind) -> Values | None:
        """The side that a column of a kind is compared with: the requests or the day."""
        return self.requests if kind == "request" else self.day


def distributions(
    training: pd.DataFrame, day: pd.DataFrame, requests: pd.DataFrame, columns: Mapping[str, Method]
) -> tuple[Distribution, ...]:
    """Describe columns of all rows of both sides, and of the requests, as far as those have the column."""
    return tuple(
        describe(name, method, training[name], day[name], requests.get(name)) for name, method in columns.items()
    )


def describe(
    name: str, method: Method, training: pd.Series[Any], day: pd.Series[Any], requests: pd.Series[Any] | None = None
) -> Distribution:
    """Describe one column on the same bins or categories for all sides."""
    sides = [training, day] if requests is None else [training, day, requests]
    values = [comparable(side, method) for side in sides]
    if method.categorical:
        categories = _categories(values)
        found = [Values(len(side), None, None, _shares_of(side, categories)) for side in values]
        return Distribution(name, False, (), categories, *found)
    edges = _edges(values[:2])
    numbers = [
        Values(len(side), *_centre(side), _shares_within(scaled, edges))
        for side, scaled in zip(sides, values, strict=True)
    ]
    ends = np.sign(edges) * np.expm1(np.abs(edges)) if method.log else edges
    return Distribution(name, method.log, tuple(ends.tolist()), (), *numbers)


def _centre(values: pd.Series[Any]) -> tuple[float | None, float | None]:
    """The mean and the median in the unit of the column; None without a finite value."""
    known = values.astype("float64").replace([np.inf, -np.inf], np.nan).dropna()
    return (float(known.mean()), float(known.median())) if len(known) else (None, None)


def _edges(sides: list[pd.Series[Any]]) -> NDArray[np.float64]:
    """Equally wide bins; one bin around a value that never varies."""
    known = pd.concat(sides, ignore_index=True).dropna()
    if known.empty:
        return np.array([0.0, 1.0])
    low, high = known.quantile([TAIL, 1 - TAIL])
    if low == high:
        low, high = known.min(), known.max()
    return np.array([low - 0.5, low + 0.5]) if low == high else np.linspace(low, high, BINS + 1)


def _shares_within(values: pd.Series[Any], edges: NDArray[np.float64]) -> tuple[float, ...]:
    known = values.dropna().clip(edges[0], edges[-1])
    counts, _ = np.histogram(known, edges)
    return tuple((counts / max(1, len(known))).tolist())


def _categories(sides: list[pd.Series[Any]]) -> tuple[str, ...]:
    """The largest categories of either side, numbers in their order and others by their size."""
    shares = pd.concat([side.value_counts(normalize=True) for side in sides], axis=1).max(axis=1)
    names = [str(name) for name in shares.sort_values(ascending=False, kind="stable").index]
    shown, rest = names[:MAX_CATEGORIES], names[MAX_CATEGORIES:]
    if all(name.removesuffix(".0").isdecimal() for name in shown):
        shown.sort(key=float)
    return (*shown, OTHERS) if rest else tuple(shown)


def _shares_of(values: pd.Series[Any], categories: tuple[str, ...]) -> tuple[float, ...]:
    counts = values.where(values.isin(categories), OTHERS).value_counts(normalize=True)
    return tuple(float(counts.get(name, 0.0)) for name in categories)
