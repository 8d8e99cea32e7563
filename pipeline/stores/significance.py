"""Whether one model's errors are smaller than another's by more than chance."""

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
    """The interval of RMSPE of `one` less RMSPE of `other`, by bootstrap over stores and days.

    Rows of a store err alike, and so do rows of a day, so both are drawn, each by itself (pigeonhole bootstrap,
    Owen 2007): whole stores and whole days, not single rows, are what chance could have made others.

    Args:
        rows: store, day and sales > 0. one, other: forecasts of the rows.

    Returns:
        Lower and upper end of the 95 % interval; below 0 on both ends, `one` is better.
    """
    sales = rows["sales"].to_numpy(float)
    at = [pd.factorize(rows[name], sort=True)[0] for name in ("store", "day")]
    shape = tuple(int(codes.max()) + 1 for codes in at)
    rng = np.random.default_rng(seed)
    stores, days = (rng.multinomial(size, np.full(size, 1 / size), BOOTSTRAP_DRAWS).astype(float) for size in shape)

    def drawn(values: NDArray[np.float64]) -> NDArray[np.float64]:
        grid = np.zeros(shape)
        np.add.at(grid, tuple(at), values)
        return np.asarray(((stores @ grid) * days).sum(axis=1))

    count = drawn(np.ones(len(rows)))
    errors = [np.sqrt(drawn((forecast / sales - 1) ** 2) / count) for forecast in (one, other)]
    low, high = np.quantile(errors[0] - errors[1], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
