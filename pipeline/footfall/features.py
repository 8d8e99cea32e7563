"""Counts at the door in, a daily description out: what visitors and buyers are like, and how they go together.

A day with more buyers than visitors is kept: it is no error of the file, but says something of the count (see
`Description.impossible_share`). Everything of `as_of` or later is left out; rows without a date are known at all times.
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
    """A count over all days. `std` is the sample's."""

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
    """What the days were like.

    Attributes:
        visitors, buyers: their summaries.
        visitor_counts, buyer_counts: how many days had each count, by count.
        correlation: Pearson's, of visitors and buyers; NaN where one of them never varies.
        impossible_days, impossible_share: days with more buyers than visitors. Either somebody buys without being
            counted (staff, a second door, people who pay apart but come together), or the counter misses people.
        conversion: buyers of all days / visitors of all days.
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
    """A row a day before `as_of`: day (null where the source gives none), visitors, buyers (float64), in order."""
    known = footfall.filter(footfall.day < ibis.date(as_of))
    return known.order_by("day", "row").select(
        day=ibis.ifelse(known.day == ibis.date(UNDATED), ibis.null("date"), known.day),
        **{name: known[name].cast("float64") for name in COUNTS},
    )


def describe(days: pd.DataFrame) -> Description:
    """Describe the rows of `footfall_features`.

    Raises:
        RefusedError: without any.
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
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Summary(len(values), float(values.mean()), spread, *(float(value) for value in quartiles))


def _counts(values: pd.Series[float]) -> dict[int, int]:
    found, days = np.unique(values.to_numpy(dtype=np.int64), return_counts=True)
    return dict(zip(found.tolist(), days.tolist(), strict=True))
