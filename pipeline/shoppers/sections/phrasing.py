"""How prices, intervals and verdicts are written on the shoppers page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.reports.phrasing import price, signed

if TYPE_CHECKING:
    from pipeline.shoppers.estimation import Interval

CREDIBLE = "credible"
NOT_CREDIBLE = "positive: not credible"
PARTLY_NOT_CREDIBLE = "one of the brands is not credible"
"""Verdicts on an elasticity, and on what is computed from it."""


def interval_text(interval: Interval, factor: float = 1, digits: int = 2) -> str:
    """Format the ends of an interval, multiplied by a factor: -1.20 to -0.80."""
    return f"{signed(factor * interval.low, digits)} to {signed(factor * interval.high, digits)}"


def price_text(value: float | None) -> str:
    """Format a price; None means that no price of the curve qualifies."""
    return "no price in the chart" if value is None else price(value)
