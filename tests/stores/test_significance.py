"""The bootstrap interval is wide where a single day decides, and excludes zero where a model is better everywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.significance import rmspe_difference

STORES, DAYS = 30, 42


@pytest.fixture
def rows() -> pd.DataFrame:
    keys = pd.MultiIndex.from_product([range(STORES), range(DAYS)], names=["store", "day"]).to_frame(index=False)
    return keys.assign(sales=100.0)


def test_the_same_forecasts_do_not_differ(rows: pd.DataFrame) -> None:
    forecast = rows["sales"].to_numpy() * np.random.default_rng(1).normal(1, 0.1, len(rows))
    assert rmspe_difference(rows, forecast, forecast, seed=7) == (0.0, 0.0)


def test_half_the_error_is_significantly_better(rows: pd.DataFrame) -> None:
    error = np.random.default_rng(1).normal(0, 10, len(rows))
    low, high = rmspe_difference(rows, 100 + error / 2, 100 + error, seed=7)
    assert low < -0.05 < high < 0
    assert rmspe_difference(rows, 100 + error, 100 + error / 2, seed=7)[0] > 0


def test_better_on_a_single_day_is_not_significantly_better(rows: pd.DataFrame) -> None:
    error = np.random.default_rng(1).normal(0, 10, len(rows))
    better = np.where(rows["day"] == 3, 0.0, error)
    low, high = rmspe_difference(rows, 100 + better, 100 + error, seed=7)
    assert low < 0 <= high
    # Rows drawn one by one would have called the same difference sure.
    rng = np.random.default_rng(7)
    drawn = rng.integers(0, len(rows), (400, len(rows)))
    by_row = np.sqrt((better[drawn] ** 2).mean(1)) - np.sqrt((error[drawn] ** 2).mean(1))
    assert np.quantile(by_row, 0.975) < 0


def test_rows_may_come_in_any_order_and_with_gaps(rows: pd.DataFrame) -> None:
    error = np.random.default_rng(1).normal(0, 10, len(rows))
    kept = np.random.default_rng(2).permutation(len(rows))[:900]
    straight = rmspe_difference(
        rows.iloc[np.sort(kept)], (100 + error / 2)[np.sort(kept)], 100 + error[np.sort(kept)], seed=7
    )
    shuffled = rmspe_difference(rows.iloc[kept], (100 + error / 2)[kept], 100 + error[kept], seed=7)
    assert straight == pytest.approx(shuffled)
