"""Visitors and buyers of each day, and a description of all days: distributions, correlation and conversion.

A day with more buyers than visitors is kept: the file is not wrong, but the counting may be (see
`Description.impossible_share`). Days from `as_of` on are left out; rows without a date are always included.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np

from pipeline.dates import UNDATED
from pipeline.errors import RefusedError

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

COUNTS = ("visitors", "buyers")
FEATURE_COLUMNS = ("visitors",)


@dataclass(frozen=True)
class Summary:
    """Summary statistics of one column over all days; `std` is the sample standard deviation."""

    count: int
    mean: float
    std: float
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float


@dataclass(frozen=True)
class Description:
    """A description of all days.

    Attributes:
        visitors, buyers: summary statistics.
        visitor_counts, buyer_counts: number of visitors (buyers) -> number of days that had it.
        correlation: Pearson correlation of visitors and buyers; NaN if one of them never varies.
        impossible_days, impossible_share: days with more buyers than visitors, and their fraction of all days. Either
            some buyers are not counted as visitors (staff, a second door, people who come together and pay separately),
            or the counter misses people.
        conversion: buyers of all days / visitors of all days; NaN without visitors.
    """

    visitors: Summary
    buyers: Summary
    visitor_counts: dict[int, int]
    buyer_counts: dict[int, int]
    correlation: float
    impossible_days: int
    impossible_share: float
    conversion: float


def footfall_features(footfall: ir.Table, as_of: dt.date) -> ir.Table:
    """Select the days before `as_of`.

    Args:
        footfall: the clean table.
        as_of: only earlier days are included.

    Returns:
        One row per day, in their order: day (null if the source gives no dates), visitors and buyers (float64, people).
    """
    known = footfall.filter(footfall.day < ibis.date(as_of))
    return known.order_by("day", "row").select(
        day=ibis.ifelse(known.day == ibis.date(UNDATED), ibis.null("date"), known.day),
        **{name: known[name].cast("float64") for name in COUNTS},
    )


def describe(days: pd.DataFrame) -> Description:
    """Describe rows of `footfall_features`.

    Raises:
        RefusedError: there are no rows.
    """
    if days.empty:
        raise RefusedError("There is no footfall to describe", where="footfall", todo="ingest it first")
    visitors, buyers = days["visitors"], days["buyers"]
    impossible = int((buyers > visitors).sum())
    varies = visitors.nunique() > 1 and buyers.nunique() > 1
    return Description(
        _summary(visitors),
        _summary(buyers),
        _counts(visitors),
        _counts(buyers),
        float(np.corrcoef(visitors, buyers)[0, 1]) if varies else float("nan"),
        impossible,
        impossible / len(days),
        float(buyers.sum() / visitors.sum()) if visitors.sum() else float("nan"),
    )


def _summary(values: pd.Series[float]) -> Summary:
    quartiles = np.percentile(values, (0, 25, 50, 75, 100))
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Summary(len(values), float(values.mean()), deviation, *(float(value) for value in quartiles))


def _counts(values: pd.Series[float]) -> dict[int, int]:
    """Return value -> number of days that have it."""
    distinct, days = np.unique(values.to_numpy(dtype=np.int64), return_counts=True)
    return dict(zip(distinct.tolist(), days.tolist(), strict=True))
