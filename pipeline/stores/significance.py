"""Test whether one model's errors are significantly smaller than another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOOTSTRAP_DRAWS = 1_000
CONFIDENCE = 0.95


def rmspe_difference(
    rows: pd.DataFrame, one: NDArray[np.float64], other: NDArray[np.float64], *, seed: int
) -> tuple[float, float]:
    """Compute the 95 % bootstrap interval of the RMSPE of `one` minus the RMSPE of `other`.

    Errors of the same store are correlated, and so are errors of the same day. Therefore whole stores and whole days
    are resampled, independently of each other (pigeonhole bootstrap, Owen 2007), and not single rows.

    Args:
        rows: store, day and sales > 0.
        one: (rows,), forecasts of the rows by one model.
        other: (rows,), forecasts by another model.
        seed: of the resampling.

    Returns:
        Lower and upper end of the interval; `one` is significantly better if both are below 0.
    """
    sales = rows["sales"].to_numpy(float)
    codes = [pd.factorize(rows[name], sort=True)[0] for name in ("store", "day")]
    shape = tuple(int(part.max()) + 1 for part in codes)
    rng = np.random.default_rng(seed)
    stores, days = (rng.multinomial(size, np.full(size, 1 / size), BOOTSTRAP_DRAWS).astype(float) for size in shape)

    def resampled_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        grid = np.zeros(shape)
        np.add.at(grid, tuple(codes), values)
        return np.asarray(((stores @ grid) * days).sum(axis=1))

    counts = resampled_sums(np.ones(len(rows)))
    errors = [np.sqrt(resampled_sums((forecast / sales - 1) ** 2) / counts) for forecast in (one, other)]
    low, high = np.quantile(errors[0] - errors[1], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
