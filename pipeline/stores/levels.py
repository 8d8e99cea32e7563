"""Last year's and recent levels of stores and of groups of them: how the chain went, told by sales alone.

The levels are the linear model's adjusted log sales, so weekdays, promotions and the like are out of them. Last year's
are means around the same weekday 52 (104) weeks ago, against the twelve weeks that came before that time's origin;
recent ones are means of the last two and eight weeks against the last year.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.stores.linear import FIXED_POINT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.stores.calendar import Columns
    from pipeline.stores.grids import StoreAttributes
    from pipeline.stores.linear import AdjustedSales

    Floats = NDArray[np.floating]
    Ints = NDArray[np.int64]

YEAR_DAYS = 364  # days: whole weeks, so that weekdays meet
WINDOW_DAYS = (3, 10, 21)  # days to either side of the same day of an earlier year
REFERENCE_DAYS = 84  # days before the origin's own day of that year
LAST_YEAR_GROUPS = ((1, "store"), (2, "store"), (1, "state"), (2, "state"), (1, "kind"))  # years back, group
RECENT_GROUPS = ("state", "kind")
RECENT_DAYS = (14, 56)

LAST_YEAR_COLUMNS: tuple[str, ...] = tuple(
    f"last_{years}_{group}_{around}" for years, group in LAST_YEAR_GROUPS for around in WINDOW_DAYS
)
RECENT_COLUMNS: tuple[str, ...] = tuple(f"recent_{group}_{days}" for group in RECENT_GROUPS for days in RECENT_DAYS)


@dataclass(frozen=True)
class Levels:
    """The levels as of one origin; NaN where history has no answer.

    Attributes:
        last: (`LAST_YEAR_COLUMNS`, S, horizon), by days from the origin. recent: (`RECENT_COLUMNS`, S). float32.
    """

    last: Floats
    recent: Floats

    def rows(self, store: Ints, ahead: Ints) -> Columns:
        """Return `LAST_YEAR_COLUMNS` and `RECENT_COLUMNS` of some days.

        Args:
            store: index of each day's store, (n,).
            ahead: days from the origin to each day, (n,).
        """
        last, recent = self.last[:, store, ahead], self.recent[:, store]
        return dict(zip((*LAST_YEAR_COLUMNS, *RECENT_COLUMNS), (*last, *recent), strict=True))


class DailyLevels:
    """Running sums of the adjusted log sales of every store, state and kind, from which levels of any origin come."""

    def __init__(self, stores: StoreAttributes, adjusted: AdjustedSales) -> None:
        kinds = stores.words["store_type"] + "/" + stores.words["assortment"]
        groups = {"store": stores.numbers, "state": stores.words["state"], "kind": kinds}
        self._groups = {
            name: _Group.of(np.unique(keys, return_inverse=True)[1], adjusted) for name, keys in groups.items()
        }

    def as_of(self, origin: int, horizon: int) -> Levels:
        """The levels that a forecast made on an origin, a t, knows of."""
        t = origin + np.arange(horizon)
        last = []
        for years, name in LAST_YEAR_GROUPS:
            group, back = self._groups[name], years * YEAR_DAYS
            before = group.mean(np.array([origin]), back + REFERENCE_DAYS, back + 1)
            last += [(group.mean(t, back + around, back - around) - before)[group.of_store] for around in WINDOW_DAYS]
        recent = []
        for name in RECENT_GROUPS:
            group, at = self._groups[name], np.array([origin])
            year = group.mean(at, YEAR_DAYS, 1)
            recent += [(group.mean(at, days, 1) - year)[group.of_store, 0] for days in RECENT_DAYS]
        return Levels(np.array(last, np.float32), np.array(recent, np.float32))


@dataclass(frozen=True)
class _Group:
    """of_store: (S,), which of G groups a store is of; totals, counts: (G, days + 1), sums of all days before."""

    of_store: Ints
    totals: Ints
    counts: Ints

    @classmethod
    def of(cls, of_store: Ints, adjusted: AdjustedSales) -> _Group:
        shape = of_store.max() + 1, adjusted.values.shape[1] + 1
        totals, counts = (np.zeros(shape, np.int64) for _ in range(2))
        np.add.at(totals[:, 1:], of_store, adjusted.values)
        np.add.at(counts[:, 1:], of_store, adjusted.regular)
        return cls(of_store, totals.cumsum(1), counts.cumsum(1))

    def mean(self, t: Ints, back: int, until: int) -> Floats:
        """The mean level from `back` to `until` days before each t, both included: (G, t)."""
        days = self.totals.shape[1] - 1
        begin, end = (np.clip(t + days - k, 0, days) for k in (back, until - 1))
        count = self.counts[:, end] - self.counts[:, begin]
        total = self.totals[:, end] - self.totals[:, begin]
        return total / np.where(count > 0, count, np.nan) / FIXED_POINT
