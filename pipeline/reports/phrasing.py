"""How numbers, shares and dates are written on report pages: one manner for all pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NEGLIGIBLE = 0.05
"""A difference, in per cent, below which two values are called equal."""
MISSING = "–"
"""Shown in place of a missing figure."""


def count(number: float) -> str:
    """Format a whole number with thousands separators: 541,909."""
    return f"{number:,.0f}"


def counted(number: float, one: str, many: str | None = None) -> str:
    """Format a number with its noun: 1 store, 1,115 stores."""
    return f"{count(number)} {one if round(number) == 1 else many or f'{one}s'}"


def was_or_were(number: float) -> str:
    """Return the verb that agrees with a number of things."""
    return "was" if round(number) == 1 else "were"


def share(part: float, whole: float) -> str:
    """Format a part of a whole as per cent: 12.5 %; a dash if the whole is 0."""
    return percent(part / whole) if whole else MISSING


def percent(fraction: float | None, digits: int = 1) -> str:
    """Format a fraction as per cent: 0.125 is 12.5 %; a dash for None or NaN."""
    return MISSING if fraction is None or np.isnan(fraction) else f"{100 * fraction:.{digits}f} %"


def signed_percent(value: float, digits: int = 1) -> str:
    """Format a value that is already in per cent with its sign: 35.0 is +35.0 %; a dash if it is not finite."""
    return f"{round(value, digits) + 0.0:+.{digits}f} %" if np.isfinite(value) else MISSING


def percent_change(log_ratio: float) -> float:
    """Convert a difference of logarithms into a change in per cent: 0.3 is 35.0."""
    return float(100 * np.expm1(log_ratio))


def more_or_less(value: float) -> str:
    """Phrase a change in per cent as a comparison: 35.0 % more, 3.2 % less, as much."""
    if abs(value) < NEGLIGIBLE:
        return "as much"
    return f"{abs(value):.1f} % {'more' if value > 0 else 'less'}"


def above_or_below(value: float) -> str:
    """Phrase a difference in per cent as a position relative to a level: 35.0 % above, 3.2 % below, at."""
    if abs(value) < NEGLIGIBLE:
        return "at"
    return f"{abs(value):.1f} % {'above' if value > 0 else 'below'}"


def listed(words: Iterable[str]) -> str:
    """Join words as a, b and c."""
    *most, last = list(words)
    return f"{', '.join(most)} and {last}" if most else last


def long_date(day: date) -> str:
    """Format a date with the month in words: 24 December 2014."""
    return f"{day:%-d %B %Y}"


def readable(name: str) -> str:
    """Turn the name of a column, metric or model into words: monthly_spend_mean is monthly spend mean."""
    return name.replace("_", " ")
