"""Planted drift: what changes in the simulated shop from a day on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import UsageError
from pipeline.simulate.catalogue import PRODUCTS
from pipeline.simulate.invoices import GUEST, Lines
from pipeline.simulate.people import COUNTRIES, FIRST_ID, NEW_COUNTRIES, SEGMENTS, People, Segment

if TYPE_CHECKING:
    from datetime import date


@dataclass(frozen=True)
class Drift:
    """A planted drift; what is not set does not change.

    Attributes:
        since: the first day that differs.
        prices: factor on the prices of products.
        baskets: factor on the quantity of each product line, rounded up.
        stops: a segment that no longer buys; its returns still come.
        countries: share of customers who from that day on buy from countries not seen before.
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
                raise UsageError("A planted drift is out of range", where=name, observed=value, allowed=allowed)

    def change(self, sold: Lines, who: People) -> Lines:
        """Apply the changed prices, quantities and countries to lines; the input is not modified."""
        changed = sold.copy()
        goods = sold["item"] < PRODUCTS
        changed["price"][goods] = np.maximum((sold["price"][goods] * self.prices).round(2), 0.01)
        changed["quantity"][goods] = np.ceil(sold["quantity"][goods] * self.baskets)
        known = sold["customer"] != GUEST
        customer = sold["customer"][known]
        new = len(COUNTRIES) - len(NEW_COUNTRIES) + customer % len(NEW_COUNTRIES)
        moved = who.mover[customer - FIRST_ID] < self.countries
        changed["country"][known] = np.where(moved, new, sold["country"][known])
        return changed

    def without_stopped(self, lines: Lines, who: People) -> Lines:
        """Remove the lines of the segment that stopped buying."""
        if self.stops is None:
            return lines
        known = lines["customer"] != GUEST
        segment = np.where(known, who.segment[np.where(known, lines["customer"] - FIRST_ID, 0)], -1)
        kept: Lines = lines[segment != SEGMENTS.index(self.stops)]
        return kept
