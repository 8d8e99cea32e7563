"""Seasonality of the simulated shop: the week, the year, and the days on which it is closed."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

# Invoices per open day by month and by weekday, relative to the mean, as in UCI Online Retail.
_MONTHS = (0.62, 0.70, 0.84, 0.92, 1.04, 0.92, 0.88, 0.82, 1.10, 1.21, 1.75, 1.20)
_WEEKDAYS = (1.14, 1.10, 1.00, 1.10, 0.93, 0.80, 0.72)
_HOLIDAYS = frozenset({(1, 1), (12, 24), (12, 25), (12, 26), (12, 31)})
_MID_MONTHS = np.arange(-1, 13) * 30.4375 + 15.2
_YEAR = np.array((_MONTHS[-1], *_MONTHS, _MONTHS[0]))


def is_open(day: date, closed: tuple[int, ...]) -> bool:
    """Whether the shop is open on a day; `closed` are the weekdays on which it never opens (0 = Monday)."""
    return day.weekday() not in closed and (day.month, day.day) not in _HOLIDAYS


def next_open(day: date, closed: tuple[int, ...]) -> date:
    """The first open day from `day` on, which may be `day` itself."""
    while not is_open(day, closed):
        day += timedelta(days=1)
    return day


def weight(day: date, closed: tuple[int, ...]) -> float:
    """Relative demand on a day: 0 when closed, about 1 on average over the calendar days of a year."""
    if not is_open(day, closed):
        return 0.0
    open_week = sum(share for weekday, share in enumerate(_WEEKDAYS) if weekday not in closed)
    year = float(np.interp(day.timetuple().tm_yday, _MID_MONTHS, _YEAR))
    return year / float(np.mean(_MONTHS)) * _WEEKDAYS[day.weekday()] * 7 / open_week
