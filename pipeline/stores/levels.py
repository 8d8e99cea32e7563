"""Compute last year's and recent sales levels of stores, and of groups of stores.

A level is a mean of log sales adjusted by the linear model, that is, without the effects of weekday, promotion and the
like. Last year's levels are means around the same weekday 52 (or 104) weeks ago, relative to the twelve weeks before
that year's origin. Recent levels are means over the last two and eight weeks, relative to the last year.

Groups are the store itself, its state, and its format ("kind" in the column names): store type and assortment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pipeline.stores.chain import mean_of_stores, relative_name
from pipeline.stores.linear import FIXED_POINT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.stores.calendar import Columns
    from pipeline.stores.grids import StoreAttributes
    from pipeline.stores.linear import AdjustedSales

    Floats = NDArray[np.floating]
    Ints = NDArray[np.int64]

YEAR_DAYS = 364  # whole weeks, so that a day is compared with the same weekday
WINDOW_DAYS = (3, 10, 21)  # days to either side of the same day of an earlier year
REFERENCE_DAYS = 84  # days before the same day of the earlier year as the origin
LAST_YEAR_GROUPS = ((1, "store"), (2, "store"), (1, "state"), (2, "state"), (1, "kind"))  # years back, group
RECENT_GROUPS = ("state", "kind")
RECENT_DAYS = (14, 56)

LAST_YEAR_COLUMNS: tuple[str, ...] = tuple(
    f"last_{years}_{group}_{around}" for years, group in LAST_YEAR_GROUPS for around in WINDOW_DAYS
)
RECENT_COLUMNS: tuple[str, ...] = tuple(f"recent_{group}_{days}" for group in RECENT_GROUPS for days in RECENT_DAYS)


@dataclass(frozen=True)
class Levels:
    """The levels as of one origin, float32; NaN where history gives no value.

    Attributes:
        last: (`LAST_YEAR_COLUMNS`, S, horizon), by days from the origin.
        recent: (`RECENT_COLUMNS`, S).
    """

    last: Floats
    recent: Floats

    @cached_property
    def _chain(self) -> tuple[Floats, Floats]:
        """The means of both over the stores: (`LAST_YEAR_COLUMNS`, horizon) and (`RECENT_COLUMNS`,)."""
        return mean_of_stores(self.last, 1), mean_of_stores(self.recent, 1)

    def rows(self, store: Ints, ahead: Ints) -> Columns:
        """Return `LAST_YEAR_COLUMNS` and `RECENT_COLUMNS` of n days, and the same relative to the chain.

        Args:
            store: index of each day's store, (n,).
            ahead: days from the origin to each day, (n,).
        """
        chain_last, chain_recent = self._chain
        last, recent = self.last[:, store, ahead], self.recent[:, store]
        relative = *(last - chain_last[:, ahead]), *(recent - chain_recent[:, None])
        names = *LAST_YEAR_COLUMNS, *RECENT_COLUMNS
        return dict(zip((*names, *map(relative_name, names)), (*last, *recent, *relative), strict=True))


class DailyLevels:
    """Running sums of adjusted log sales by store, state and format, from which the levels as of any origin follow."""

    def __init__(self, stores: StoreAttributes, adjusted: AdjustedSales) -> None:
        formats = stores.categories["store_type"] + "/" + stores.categories["assortment"]
        keys = {"store": stores.numbers, "state": stores.categories["state"], "kind": formats}
        self._groups = {
            name: _Group.from_daily(np.unique(values, return_inverse=True)[1], adjusted)
            for name, values in keys.items()
        }

    def as_of(self, origin: int, horizon: int) -> Levels:
        """Return the levels that a forecast made on an origin, a t, can know."""
        t = origin + np.arange(horizon)
        last = []
        for years, name in LAST_YEAR_GROUPS:
            group, back = self._groups[name], years * YEAR_DAYS
            reference = group.mean(np.array([origin]), back + REFERENCE_DAYS, back + 1)
            last += [
                (group.mean(t, back + around, back - around) - reference)[group.of_store] for around in WINDOW_DAYS
            ]
        recent = []
        for name in RECENT_GROUPS:
            group, at_origin = self._groups[name], np.array([origin])
            year = group.mean(at_origin, YEAR_DAYS, 1)
            recent += [(group.mean(at_origin, days, 1) - year)[group.of_store, 0] for days in RECENT_DAYS]
        return Levels(np.array(last, np.float32), np.array(recent, np.float32))


@dataclass(frozen=True)
class _Group:
    """Running sums over the days before as_of for G groups of stores.

    Attributes:
        of_store: (S,), the index of each store's group.
        totals: (G, days + 1), sums of adjusted log sales over all days before each column.
        counts: (G, days + 1), numbers of regular store days before each column.
    """

    of_store: Ints
    totals: Ints
    counts: Ints

    @classmethod
    def from_daily(cls, of_store: Ints, adjusted: AdjustedSales) -> _Group:
        shape = of_store.max() + 1, adjusted.values.shape[1] + 1
        totals, counts = (np.zeros(shape, np.int64) for _ in range(2))
        np.add.at(totals[:, 1:], of_store, adjusted.values)
        np.add.at(counts[:, 1:], of_store, adjusted.regular)
        return cls(of_store, totals.cumsum(1), counts.cumsum(1))

    def mean(self, t: Ints, back: int, until: int) -> Floats:
        """Return each group's mean over the days from t - `back` to t - `until`, both included: (G, len(t))."""
        days = self.totals.shape[1] - 1
        begin, end = (np.clip(t + days - k, 0, days) for k in (back, until - 1))
        count = self.counts[:, end] - self.counts[:, begin]
        total = self.totals[:, end] - self.totals[:, begin]
        return total / np.where(count > 0, count, np.nan) / FIXED_POINT
