"""Build the design matrix of the linear model: which columns it has, and how much each is shrunk.

Columns of the level (`IS_LEVEL`: constant, trend and two waves a year) describe where a store's sales are in general;
the others are effects of the day, for which adjusted sales are corrected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.stores.calendar import LONG_CLOSURE, MAX_CLOSURE_LENGTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.stores.calendar import Calendar, Columns

    Floats = NDArray[np.floating]

CHUNK_BYTES = 1_000_000
"""Bytes of the design matrix that are processed at once, so that they stay in the processor's cache."""
_LEVEL_COLUMNS = ("one", "trend", "sin1", "cos1", "sin2", "cos2")
_WEEKDAYS = ("tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AFTER_REOPENING = {"back_2": (1, 2), "back_3": (3, 3), "back_5": (4, 5), "back_8": (6, 8)}
"""Column -> first and last open day after a long closure."""
_BEFORE_CLOSING = {"before_1": (1, 1), "before_4": (2, 4), "before_10": (5, 10), "before_24": (11, 24)}
"""Column -> first and last open day, counted back from a long closure."""


def _shrinkage_costs() -> dict[str, float]:
    """Return each column of the design with the cost of a store's deviation from the effect that all stores share."""
    costs = {"one": 0.02, **dict.fromkeys(_WEEKDAYS, 1.0), "promo": 1.0}
    costs |= {f"promo_{day}": 0.4 for day in _WEEKDAYS[:4]}
    costs |= dict.fromkeys(("month_start", "month_early", "month_middle", "month_late", "month_end", "month_last"), 0.4)
    costs |= dict.fromkeys(("next_closed", "previous_closed", "school", "holiday", "easter"), 0.4)
    costs |= dict.fromkeys(("advent", "christmas_week", "christmas_eve", "after_christmas"), 1.0)
    costs |= {"trend": 40.0, **dict.fromkeys(("sin1", "cos1", "sin2", "cos2"), 80.0)}
    for name in (*_AFTER_REOPENING, *_BEFORE_CLOSING):
        costs |= {name: 60.0, f"{name}_long": 60.0}
    return costs


_COSTS = _shrinkage_costs()
DESIGN_COLUMNS = tuple(_COSTS)
PENALTIES = np.array(list(_COSTS.values()))
"""(P,), the cost of a store's own deviation by column of the design."""
IS_LEVEL = np.isin(DESIGN_COLUMNS, _LEVEL_COLUMNS)
"""(P,), whether a column of the design belongs to the level."""


def history_design(calendar: Calendar) -> Floats:
    """Build the design matrix of all days before as_of: (S, days before as_of, P), float32."""
    past = -calendar.first
    dates = {name: values[:past] for name, values in calendar.dates.items()} | {"t": np.arange(-past, 0)}
    stores = len(calendar.distances["promo"])
    design = np.empty((stores, past, len(DESIGN_COLUMNS)), np.float32)
    chunk = max(1, CHUNK_BYTES // design[0].nbytes)
    for part in (slice(k, k + chunk) for k in range(0, stores, chunk)):
        distances = {name: values[part, :past] for name, values in calendar.distances.items()}
        design[part] = design_matrix(dates | distances)
    return design


def design_matrix(days: Columns, end: int | None = None) -> Floats:
    """Build the design matrix of n days, or of a grid of S stores x T days.

    Args:
        days: columns of the `Calendar` and t: (n,) each; or (S, T), with those that depend on the date alone (T,).
        end: the t from which on closures are not known; None if all are.

    Returns:
        (n, P) or (S, T, P) with the columns `DESIGN_COLUMNS`, float32.
    """
    t, weekday, promo = days["t"], days["weekday"], days["promo"]
    day_of_month, days_to_month_end = days["day_of_month"], days["days_to_month_end"]
    next_closed, length = days["closed_until"] == 1, days["closing_length"]
    if end is not None:
        next_closed = next_closed & (t + 1 < end)
        length = np.minimum(length, end - days["closing_start"])
    columns: dict[str, Any] = {"one": 1.0}
    columns |= {name: weekday == k for k, name in enumerate(_WEEKDAYS, start=1)}
    columns["promo"] = promo
    columns |= {f"promo_{name}": promo * (weekday == k) for k, name in enumerate(_WEEKDAYS[:4], start=1)}
    columns["month_start"] = day_of_month <= 2
    columns["month_early"] = (day_of_month > 2) & (day_of_month <= 5)
    columns["month_middle"] = (day_of_month >= 13) & (day_of_month <= 17)
    columns["month_late"] = (day_of_month >= 19) & (day_of_month <= 25)
    columns["month_end"] = days_to_month_end <= 1
    columns["month_last"] = (days_to_month_end > 1) & (days_to_month_end <= 3)
    columns["next_closed"] = next_closed
    columns["previous_closed"] = days["closed_since"] == 1
    columns["school"] = days["school"]
    columns["holiday"] = days["holiday"] > 0
    columns |= _seasons(days) | _around_closures(days, length)
    design = np.empty((*promo.shape, len(DESIGN_COLUMNS)), np.float32)
    for k, name in enumerate(DESIGN_COLUMNS):
        design[..., k] = columns[name]
    return design


def _seasons(days: Columns) -> Columns:
    """Easter, Advent and Christmas, the trend, and two waves a year."""
    to_christmas, to_easter = -days["christmas_days"], -days["easter_days"]
    year = 2 * np.pi * days["day_of_year"].astype(np.float32) / 365.25
    return {
        "easter": (to_easter > 0) & (to_easter <= 8),
        "advent": np.where((to_christmas > 0) & (to_christmas <= 28), (29 - to_christmas) / 28, 0),
        "christmas_week": (to_christmas > 0) & (to_christmas <= 7),
        "christmas_eve": (to_christmas > 0) & (to_christmas <= 2),
        "after_christmas": (to_christmas < 0) & (to_christmas >= -6),
        "trend": days["t"] / 365,
        "sin1": np.sin(year),
        "cos1": np.cos(year),
        "sin2": np.sin(2 * year),
        "cos2": np.cos(2 * year),
    }


def _around_closures(days: Columns, length: NDArray[Any]) -> Columns:
    """The first open days after a long closure and the last ones before it, alone and by the length of the closure."""
    columns: Columns = {}
    weeks = np.log(np.maximum(days["reopened_length"], 1).astype(np.float32) / 7)
    for name, (first, last) in _AFTER_REOPENING.items():
        near = (days["reopened"] >= first) & (days["reopened"] <= last)
        columns |= {name: near, f"{name}_long": near * weeks}
    closes = length >= LONG_CLOSURE
    for name, (first, last) in _BEFORE_CLOSING.items():
        near = closes & (days["closing"] >= first) & (days["closing"] <= last)
        columns |= {name: near, f"{name}_long": near & (length >= MAX_CLOSURE_LENGTH)}
    return columns
