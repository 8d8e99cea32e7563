"""Compute prediction intervals from the errors of forecasts of earlier folds.

The method is split conformal prediction (Vovk et al. 2005; normalised as in Lei et al. 2018). The error is
log(sales / forecast) divided by a scale: the residual scale of the store and, in a season unlike the rest of the year,
a share of how unlike it is (`season_scale`), because such a season was seen only once or twice. The quantiles of these
errors in earlier folds, taken separately for each band of days ahead, are the ends of the intervals. Those folds were
forecast out of sample, so the quantiles include the errors that residuals of training rows do not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pipeline.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


SEASON_SHARE = 0.8
"""Share of `season_scale` in the scale of an error."""


@dataclass(frozen=True)
class Intervals:
    """The quantiles of the errors, in units of the row's scale (`error_scale`).

    Attributes:
        low: level (0.8, 0.95) -> the lower quantile of each band of days ahead.
        high: level -> the upper quantile of each band.
        season_share: share of `season_scale` in the scale; 0 in intervals of earlier releases.
    """

    low: dict[float, tuple[float, ...]]
    high: dict[float, tuple[float, ...]]
    season_share: float = 0.0

    def to_record(self) -> dict[str, Any]:
        """Return the quantiles in types that JSON can hold."""
        ends = {"low": self.low, "high": self.high}
        quantiles = {end: {str(level): list(values) for level, values in found.items()} for end, found in ends.items()}
        return {**quantiles, "season_share": self.season_share}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Restore what `to_record` returned."""
        low, high = ({float(level): tuple(values) for level, values in record[end].items()} for end in ("low", "high"))
        return cls(low, high, float(record.get("season_share", 0.0)))

    def around(self, features: pd.DataFrame, mean: Floats) -> dict[float, tuple[Floats, Floats]]:
        """Return the interval of each row.

        Args:
            features: scale, season_scale and ahead of the rows.
            mean: (rows,), their forecasts in sales.

        Returns:
            Level -> lower and upper ends, (rows,) each, in sales.
        """
        scale = error_scale(features, self.season_share)
        bands = len(next(iter(self.low.values())))
        band = np.minimum(features["ahead"].to_numpy(int) // BAND_DAYS, bands - 1)
        return {
            level: (
                mean * np.exp(np.array(self.low[level])[band] * scale),
                mean * np.exp(np.array(self.high[level])[band] * scale),
            )
            for level in self.low
        }


def error_scale(rows: pd.DataFrame, season_share: float) -> Floats:
    """Return the scale of the errors of rows: (rows,), in logs."""
    scale = rows["scale"].to_numpy(float)
    return np.hypot(scale, season_share * rows["season_scale"].to_numpy(float)) if season_share else scale


def calibrate(past: pd.DataFrame) -> Intervals:
    """Compute the quantiles of the errors of past forecasts.

    Args:
        past: sales, mean (the forecast), scale, season_scale and ahead of rows that were forecast out of sample. Rows
            without sales are left out.

    Raises:
        RefusedError: if a band of days ahead has fewer than `MIN_ROWS` rows.
    """
    sold = past[past["sales"] > 0]
    error = np.log(sold["sales"].to_numpy(float) / sold["mean"].to_numpy(float)) / error_scale(sold, SEASON_SHARE)
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
        season_share=SEASON_SHARE,
    )
