"""Compute prediction intervals from the errors of forecasts of earlier folds.

The method is split conformal prediction (Vovk et al. 2005; normalised as in Lei et al. 2018). The error is
log(sales / forecast) divided by the residual scale of the store. Its quantiles in earlier folds, taken separately for
each band of days ahead, are the ends of the intervals. Those folds were forecast out of sample, so the quantiles
include the errors that residuals of training rows do not show.
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
INTERVALS_FILE = "intervals.json"
"""The file, stored with a registered model, that holds its `Intervals`."""
BAND_DAYS = 14
"""Days ahead that share their quantiles."""
MIN_ROWS = 100
"""Past forecasts that a band needs; with fewer, the outer quantiles would be those of single days."""


@dataclass(frozen=True)
class Intervals:
    """The quantiles of the errors, in units of the row's scale.

    Attributes:
        low: level (0.8, 0.95) -> the lower quantile of each band of days ahead.
        high: level -> the upper quantile of each band.
    """

    low: dict[float, tuple[float, ...]]
    high: dict[float, tuple[float, ...]]

    def to_record(self) -> dict[str, dict[str, list[float]]]:
        """Return the quantiles in types that JSON can hold."""
        ends = {"low": self.low, "high": self.high}
        return {
            end: {str(level): list(values) for level, values in quantiles.items()} for end, quantiles in ends.items()
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Mapping[str, Sequence[float]]]) -> Self:
        """Restore what `to_record` returned."""
        low, high = ({float(level): tuple(values) for level, values in record[end].items()} for end in ("low", "high"))
        return cls(low, high)

    def around(self, features: pd.DataFrame, mean: Floats) -> dict[float, tuple[Floats, Floats]]:
        """Return the interval of each row.

        Args:
            features: scale and ahead of the rows.
            mean: (rows,), their forecasts in sales.

        Returns:
            Level -> lower and upper ends, (rows,) each, in sales.
        """
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
    """Compute the quantiles of the errors of past forecasts.

    Args:
        past: sales, mean (the forecast), scale and ahead of rows that were forecast out of sample. Rows without sales
            are left out.

    Raises:
        RefusedError: if a band of days ahead has fewer than `MIN_ROWS` rows.
    """
    sold = past[past["sales"] > 0]
    error = np.log(sold["sales"].to_numpy(float) / sold["mean"].to_numpy(float)) / sold["scale"].to_numpy(float)
    band = sold["ahead"].to_numpy(int) // BAND_DAYS
    counts = np.bincount(band) if len(band) else np.zeros(1, int)
    if counts.min() < MIN_ROWS:
        raise RefusedError(
            "there are too few past forecasts to calibrate the intervals",
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
