"""Intervals of sums hold for sums of stores whose errors have common parts, where sums of intervals would not."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.sums import SumIntervals, calibrate_sums, coverage_of_sums

STORES, DAYS, FOLDS = 60, 42, 12
FOLD, DAY, STATE, STORE, REST = 0.03, 0.05, 0.02, 0.04, 0.08


def folds(count: int, seed: int) -> pd.DataFrame:
    """Forecasts whose errors have all five parts."""
    rng = np.random.default_rng(seed)
    parts = []
    for fold in range(count):
        store, day = (axis.ravel() for axis in np.meshgrid(np.arange(STORES), np.arange(DAYS), indexing="ij"))
        error = rng.normal(0, FOLD) + rng.normal(0, DAY, DAYS)[day] + rng.normal(0, STATE, 6)[store % 6]
        error += rng.normal(0, STORE, STORES)[store] + rng.normal(0, REST, len(store))
        mean = rng.uniform(3000, 9000, STORES)[store]
        columns = {"store": store, "state": store % 6, "store_type": store % 4, "day": day, "made_on": fold}
        parts.append(pd.DataFrame({**columns, "mean": mean, "sales": mean * np.exp(error)}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def intervals() -> SumIntervals:
    return calibrate_sums(folds(FOLDS, 1))


def test_the_parts_of_the_error_are_found(intervals: SumIntervals) -> None:
    found = np.sqrt([intervals.fold, intervals.day, intervals.state, intervals.store, intervals.rest])
    np.testing.assert_allclose(found, [FOLD, DAY, STATE, STORE, REST], rtol=0.35)
    assert intervals.folds == FOLDS


def test_sums_lie_within_their_intervals_as_often_as_they_should(intervals: SumIntervals) -> None:
    new = folds(60, 2)
    covered = [coverage_of_sums(fold, intervals) for _, fold in new.groupby("made_on")]
    for kind in ("chain", "state", "store type", "store"):
        share = {level: np.mean([one[kind][f"coverage_{level}"] for one in covered]) for level in (80, 95)}
        assert share[80] == pytest.approx(0.8, abs=0.11), kind
        assert share[95] == pytest.approx(0.95, abs=0.06), kind
    assert covered[0]["store"]["sums"] == STORES


def test_a_larger_sum_has_the_narrower_interval_but_not_by_chance_alone(intervals: SumIntervals) -> None:
    one = folds(1, 3)

    def width(rows: pd.DataFrame) -> float:
        total, ends = intervals.of_sum(rows)
        return (ends[0.8][1] - ends[0.8][0]) / total

    day, weeks, chain = one.head(1), one[one["store"] == 0], one
    assert width(day) > width(weeks) > width(chain) > 2 * FOLD, "what all stores have in common does not cancel"


def test_days_without_sales_do_not_count(intervals: SumIntervals) -> None:
    past = folds(FOLDS, 1)
    assert calibrate_sums(pd.concat([past, past.head(100).assign(sales=0.0)])) == intervals


def test_the_variances_survive_serialisation(intervals: SumIntervals) -> None:
    assert SumIntervals.from_record(json.loads(json.dumps(intervals.to_record()))) == intervals
