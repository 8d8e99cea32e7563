"""Intervals of a forecast from how far forecasts of past folds were off.

Split conformal prediction (Vovk et al. 2005; normalised as in Lei et al. 2018): the log of sales over forecast, in
units of the store's own scatter, has the quantiles it had in folds that were forecast before, by how many weeks ahead.
Those folds were out of sample, so the quantiles hold what a model's own residuals never show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from pipeline.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

INTERVAL_LEVELS = (0.80, 0.95)
BAND_DAYS = 14  # days ahead that share their quantiles
MIN_ROWS = 100  # past forecasts a band needs: the outer quantiles of fewer are single days


@dataclass(frozen=True)
class Intervals:
    """low, high: level -> one quantile a band of days ahead, in units of the row's scale."""

    low: dict[float, tuple[float, ...]]
    high: dict[float, tuple[float, ...]]

    def to_record(self) -> dict[str, dict[str, list[float]]]:
        """As JSON can hold it."""
        ends = {"low": self.low, "high": self.high}
        return {end: {str(level): list(values) for level, values in of.items()} for end, of in ends.items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Mapping[str, Sequence[float]]]) -> Self:
        """The inverse of `to_record`."""
        low, high = ({float(level): tuple(values) for level, values in record[end].items()} for end in ("low", "high"))
        return cls(low, high)

    def around(self, features: pd.DataFrame, mean: Floats) -> dict[float, tuple[Floats, Floats]]:
        """Level -> lower and upper end of each row's interval, in sales."""
        scale = features["scale"].to_numpy(float)
        bands = len(next(iter(self.low.values())))
        band = np.minimum(features["ahead"].to_numpy(int) // BAND_DAYS, bands - 1)
        return {
            level: (
                mean * np.exp(np.array(self.low[level])[band] * scale),
                mean * np.exp(np.array(self.high[level])[band] * scale),
            )
            for level in self.low
        }


def calibrate(past: pd.DataFrame) -> Intervals:
    """Quantiles of past forecasts.

    Args:
        past: sales, mean (the forecast), scale and ahead of rows that were forecast out of sample; only sales > 0
        count.

    Raises:
        RefusedError: a band of days ahead has fewer than `MIN_ROWS` rows.
    """
    sold = past[past["sales"] > 0]
    error = np.log(sold["sales"].to_numpy(float) / sold["mean"].to_numpy(float)) / sold["scale"].to_numpy(float)
    band = sold["ahead"].to_numpy(int) // BAND_DAYS
    counts = np.bincount(band) if len(band) else np.zeros(1, int)
    if counts.min() < MIN_ROWS:
        raise RefusedError(
            "too few past forecasts to say how wide an interval must be",
            observed=f"{counts.min()} rows in one band of {BAND_DAYS} days ahead",
            allowed=f"{MIN_ROWS} rows or more",
            todo="backtest over more folds or stores",
        )
    tails = {level: ((1 - level) / 2, (1 + level) / 2) for level in INTERVAL_LEVELS}
    ends = {level: [np.quantile(error[band == k], tail) for k in range(len(counts))] for level, tail in tails.items()}
    return Intervals(
        low={level: tuple(float(low) for low, _ in ends[level]) for level in INTERVAL_LEVELS},
        high={level: tuple(float(high) for _, high in ends[level]) for level in INTERVAL_LEVELS},
    )
