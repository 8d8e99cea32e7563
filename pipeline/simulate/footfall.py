"""Simulated footfall: visitors and buyers a day, related by a known line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.simulate.addresses import options_of

_WEEK = np.array([0.95, 0.92, 0.95, 1.0, 1.12, 1.25, 0.8])
SCHEMA = pa.schema([("Day", pa.string()), ("Visitor", pa.int64()), ("Buyer", pa.int64())])


@dataclass(frozen=True)
class Door:
    """The simulated door: buyers = intercept + slope · visitors + normal noise of standard deviation `spread`.

    A day's counts depend on these values and the day only.

    Attributes:
        seed: random seed.
        visitors: mean visitors a day.
    """

    seed: int = 7
    visitors: float = 200.0
    intercept: float = 15.0
    slope: float = 0.55
    spread: float = 6.0

    def __post_init__(self) -> None:
        if self.seed < 0 or self.visitors <= 0 or self.spread < 0:
            raise UsageError(
                "The door cannot be simulated",
                observed=f"seed {self.seed}, visitors {self.visitors}, spread {self.spread}",
                allowed="a seed of 0 or more, visitors above 0, a spread of 0 or more",
            )

    @classmethod
    def from_uri(cls, uri: str) -> Door:
        """Make the door of an address such as `simulate://footfall?seed=7&visitors=200`.

        Raises:
            UsageError: listing every option that is unknown, unreadable or given twice.
        """
        return cls(**options_of(uri, _OPTIONS))

    def days(self, start: date, end: date) -> pa.Table:
        """The counts of `[start, end)`: Day, Visitor, Buyer."""
        days = [start + timedelta(days=number) for number in range((end - start).days)]
        counts = [self._count(day) for day in days]
        columns = [[day.isoformat() for day in days], [v for v, _ in counts], [b for _, b in counts]]
        return pa.Table.from_arrays(
            [pa.array(column, of.type) for column, of in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
        )

    def _count(self, day: date) -> tuple[int, int]:
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(21, day.toordinal())))
        visitors = round(self.visitors * _WEEK[day.weekday()] * float(np.exp(rng.normal(0, 0.15))))
        buyers = round(self.intercept + self.slope * visitors + float(rng.normal(0, self.spread)))
        return visitors, max(buyers, 0) if visitors else 0


_OPTIONS: dict[str, Any] = {"seed": int, "visitors": float, "intercept": float, "slope": float, "spread": float}
