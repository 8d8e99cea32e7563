"""Days as text: ISO dates, or `undated` for rows without a day, whose sentinel date is never shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

DAY = timedelta(days=1)
UNDATED = date(1970, 1, 1)
"""Sentinel: the `day` of rows without one, because every partition of a table needs a value."""
UNDATED_AS_OF = UNDATED + DAY
"""The as-of day of results that are computed from undated rows."""
WORD = "undated"


def format_day(day: date) -> str:
    """Format a day or as-of day for messages, for passing it between tasks, and for the names of pages."""
    return WORD if day in (UNDATED, UNDATED_AS_OF) else day.isoformat()


def format_days(days: Iterable[date]) -> str:
    """Format days in short: days in a row as `2025-03-04 to 2025-03-06`, separated by commas."""
    runs: list[list[date]] = []
    for day in sorted(days):
        if runs and day == runs[-1][-1] + DAY:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def parse_as_of(text: str) -> date:
    """Parse an as-of day as `format_day` writes it.

    Raises:
        ValueError: if the text is neither a day such as 2025-01-31 nor `undated`.
    """
    return UNDATED_AS_OF if text == WORD else date.fromisoformat(text)
