"""How prices, intervals and means are written on the shoppers page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.reports.phrasing import count

if TYPE_CHECKING:
    from pipeline.shoppers.estimation import Interval

CREDIBLE = "credible"
NOT_CREDIBLE = "positive: not credible"
PARTLY_NOT_CREDIBLE = "one of the brands is not credible"
"""Verdicts on an elasticity, and on what is computed from it."""


def interval_text(interval: Interval, factor: float = 1) -> str:
    """Format the ends of an interval, multiplied by a factor: -1.20 to -0.80."""
    return f"{factor * interval.low:+.2f} to {factor * interval.high:+.2f}"


def price_text(price: float | None) -> str:
    """Format a price; None means that no price of the curve qualifies."""
    return "no price in the chart" if price is None else f"{price:.2f}"


def mean_text(value: float) -> str:
    """Format a mean: large ones, such as an income, without decimals."""
    return count(value) if abs(value) >= 1_000 else f"{value:.2f}"
