"""Intervals cover their share of new days, and are wider where errors were larger."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import RefusedError
from pipeline.stores.intervals import BAND_DAYS, MIN_ROWS, Intervals, calibrate


def forecasts(rows: int, seed: int) -> pd.DataFrame:
    """Forecasts whose error grows with the days ahead and with the store's scale."""
    rng = np.random.default_rng(seed)
    ahead, scale = rng.integers(0, 42, rows), rng.uniform(0.05, 0.2, rows)
    mean = rng.uniform(1000, 9000, rows)
    error = rng.standard_t(5, rows) * scale * (1 + ahead / 42)
    sales = mean * np.exp(error)
    return pd.DataFrame({"ahead": ahead, "scale": scale, "season_scale": 0.0, "mean": mean, "sales": sales})


def test_intervals_cover_their_share_of_new_days() -> None:
    intervals, new = calibrate(forecasts(20_000, 1)), forecasts(20_000, 2)
    for level, (low, high) in intervals.around(new, new["mean"].to_numpy()).items():
        assert ((new["sales"] >= low) & (new["sales"] <= high)).mean() == pytest.approx(level, abs=0.01)


def test_intervals_widen_with_the_days_ahead() -> None:
    intervals = calibrate(forecasts(20_000, 1))
    assert intervals.high[0.8][0] < intervals.high[0.8][1] < intervals.high[0.8][2]


def test_days_without_sales_do_not_count() -> None:
    past = forecasts(2_000, 1)
    closed = past.assign(sales=0.0)
    assert calibrate(pd.concat([past, closed])) == calibrate(past)


def test_too_few_past_forecasts_are_refused() -> None:
    """Each band of days ahead needs `MIN_ROWS` forecasts, and no more."""
    bands = np.arange(0, 42, BAND_DAYS)
    enough = forecasts(len(bands) * MIN_ROWS, 1).assign(ahead=np.repeat(bands, MIN_ROWS))
    calibrate(enough)
    with pytest.raises(RefusedError, match="too few past forecasts"):
        calibrate(enough.iloc[1:])
    with pytest.raises(RefusedError, match="too few past forecasts"):
        calibrate(enough.head(0))


def test_intervals_survive_serialisation() -> None:
    made = Intervals({0.8: (-1.0, -2.0), 0.95: (-2.0, -3.0)}, {0.8: (1.0, 2.0), 0.95: (2.0, 3.0)}, 0.5)
    assert Intervals.from_record(json.loads(json.dumps(made.to_record()))) == made


def test_intervals_of_a_season_unlike_the_rest_of_the_year_are_wider() -> None:
    """Its errors are larger, and it is not among the forecasts that calibrate."""
    intervals, new = calibrate(forecasts(20_000, 1)), forecasts(20_000, 2).assign(season_scale=0.15)
    mean = new["mean"].to_numpy()
    error = np.log(new["sales"] / mean) * np.hypot(new["scale"], 0.8 * 0.15) / new["scale"]
    low, high = intervals.around(new, mean)[0.8]
    assert ((mean * np.exp(error) >= low) & (mean * np.exp(error) <= high)).mean() == pytest.approx(0.8, abs=0.01)
    narrow_low, narrow_high = intervals.around(new.assign(season_scale=0.0), mean)[0.8]
    assert ((high / low) > (narrow_high / narrow_low)).all()


def test_intervals_of_an_earlier_release_do_not_know_seasons() -> None:
    record = calibrate(forecasts(2_000, 1)).to_record()
    del record["season_share"]
    earlier, rows = Intervals.from_record(record), forecasts(10, 2)
    expected = earlier.around(rows, rows["mean"].to_numpy())
    found = earlier.around(rows.assign(season_scale=0.3).drop(columns="season_scale"), rows["mean"].to_numpy())
    for level in expected:
        np.testing.assert_array_equal(found[level], expected[level])
