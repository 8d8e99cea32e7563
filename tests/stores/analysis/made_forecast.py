"""A forecast that is known without a model."""

from __future__ import annotations

import datetime as dt

import pandas as pd

AS_OF = dt.date(2024, 7, 1)
DAYS = pd.date_range(AS_OF, periods=42)


def make_forecast(mean: float = 110.0, stores: tuple[int, ...] = (1, 2)) -> pd.DataFrame:
    """The same forecast on each of `DAYS` at each store, with intervals of 10 % and 20 % on either side."""
    rows = pd.MultiIndex.from_product([stores, DAYS], names=["store", "day"]).to_frame(index=False)
    ends = {"low_80": 0.9, "high_80": 1.1, "low_95": 0.8, "high_95": 1.2}
    return rows.assign(mean=mean, **{name: mean * factor for name, factor in ends.items()})
