"""Change on request: what differs in the simulated shop from a day on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from pipeline.simulate.people import Segment


@dataclass(frozen=True)
class Drift:
    """Nothing changes before `since`; from that day on, only what is set.

    since: the first day that is different. prices: factor on the prices of products. baskets: factor on the quantity
    of each product line, rounded up. stops: a segment that no longer buys (what it bought may still come back).
    countries: share of customers who from now on buy from countries never seen before.
    """

    since: date
    prices: float = 1.0
    baskets: float = 1.0
    stops: Segment | None = None
    countries: float = 0.0

    def __post_init__(self) -> None:
        for name, value, good in (
            ("prices", self.prices, 0 < self.prices <= 1000),
            ("baskets", self.baskets, 0 < self.baskets <= 1000),
            ("countries", self.countries, 0 <= self.countries <= 1),
        ):
            if not good:
                allowed = "a share from 0 to 1" if name == "countries" else "a factor above 0, at most 1000"
                raise UsageError("a planted drift is out of range", where=name, observed=value, allowed=allowed)
