"""How figures are said in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SMALLEST = 0.05
"""Per cent: less is said to be nothing."""


def per_cent(log_ratio: float) -> float:
    """A difference of logs as per cent: 0.3 is 35.0."""
    return float(100 * np.expm1(log_ratio))


def signed(value: float, digits: int = 1) -> str:
    """Per cent with its sign: +35.0 %; a dash where there is no figure."""
    return f"{round(value, digits) + 0.0:+.{digits}f} %" if np.isfinite(value) else "–"


def more(value: float) -> str:
    """Per cent as people say it: 35.0 % more, 3.2 % less, as much."""
    if abs(value) < SMALLEST:
        return "as much"
    return f"{abs(value):.1f} % {'more' if value > 0 else 'less'}"


def beside(value: float) -> str:
    """Per cent as a place beside a level: 35.0 % above, 3.2 % below, at."""
    if abs(value) < SMALLEST:
        return "at"
    return f"{abs(value):.1f} % {'above' if value > 0 else 'below'}"


def counted(number: float, one: str, many: str | None = None) -> str:
    """A number with its word: 1 store, 1,115 stores."""
    return f"{number:,.0f} {one if round(number) == 1 else many or f'{one}s'}"


def were(number: float) -> str:
    """The verb that goes with a number."""
    return "was" if round(number) == 1 else "were"


def listed(words: Iterable[str]) -> str:
    """a, b and c."""
    *most, last = list(words)
    return f"{', '.join(most)} and {last}" if most else last


def dated(day: date) -> str:
    """A day of a year: 24 December 2014."""
    return f"{day:%-d %B %Y}"
