"""Intervals of sums hold for sums of stores whose errors have common parts, where sums of intervals would not."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.sums import KINDS, MIN_OWN_SUMS, PARTS, SUMS_FILE, SumIntervals, calibrate_sums, coverage_of_sums

STORES, DAYS, FOLDS = 40, 42, 12
SPREADS = {"fold": 0.03, "week": 0.03, "day": 0.05, "state": 0.02, "store": 0.04, "store_week": 0.05, "rest": 0.08}
"""Standard deviations of the parts of an error; those that are missing have none."""


def folds(count: int, seed: int, stores: int = STORES) -> pd.DataFrame:
    """Forecasts whose errors have all of these parts."""
    rng = np.random.default_rng(seed)
    parts = []
    for fold in range(count):
        store, day = (axis.ravel() for axis in np.meshgrid(np.arange(stores), np.arange(DAYS), indexing="ij"))
        rows = pd.DataFrame({"store": store, "state": store % 6, "store_type": store % 4, "day": day, "week": day // 7})
        error = np.zeros(len(rows))
        for part, spread in SPREADS.items():
            level = rows.groupby(list(PARTS[part])).ngroup().to_numpy() if PARTS[part] else np.zeros(len(rows), int)
            error += rng.normal(0, spread, level.max() + 1)[level]
        mean = rng.uniform(3000, 9000, stores)[store]
        columns = {"ahead": day, "made_on": fold, "mean": mean, "sales": mean * np.exp(error)}
        parts.append(rows.drop(columns="week").assign(**columns))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def intervals() -> SumIntervals:
    return calibrate_sums(folds(FOLDS, 6))


def test_the_parts_of_the_error_are_found(intervals: SumIntervals) -> None:
    found = {part: variance**0.5 for part, variance in intervals.variances.items()}
    for part, spread in SPREADS.items():
        assert found[part] == pytest.approx(spread, rel=0.4), part
    assert max(found["store_type"], found["state_week"]) < 0.015
    assert intervals.folds == FOLDS


def test_sums_lie_within_their_intervals_as_often_as_they_should(intervals: SumIntervals) -> None:
    new = folds(30, 2)
    covered = [coverage_of_sums(fold, intervals) for _, fold in new.groupby("made_on")]
    for kind in KINDS:
        share = {level: np.mean([one[kind][f"coverage_{level}"] for one in covered]) for level in (80, 95)}
        assert share[80] == pytest.approx(0.8, abs=0.11), kind
        assert share[95] == pytest.approx(0.95, abs=0.06), kind
    assert {kind: found["sums"] for kind, found in covered[0].items()} == {
        "chain": 1,
        "chain_week": 6,
        "state": 6,
        "state_week": 36,
        "store_type": 4,
        "store": STORES,
        "store_week": 6 * STORES,
    }


def test_quantiles_of_stores_are_those_of_their_sums(intervals: SumIntervals) -> None:
    """Every other sum is nearly exact: the middle of the errors is narrow, their tails are heavy."""
    assert intervals.own[0.8] == pytest.approx(1.28, abs=0.15)
    past = folds(FOLDS, 6)
    exact = past["store"] % 2 == 0
    common = np.exp(np.log(past["sales"] / past["mean"]).groupby([past["made_on"], past["day"]]).transform("mean"))
    uneven = past.assign(sales=past["sales"].where(~exact, past["mean"] * common))
    own = calibrate_sums(uneven).own
    assert own[0.95] / own[0.8] > 1.2 * intervals.own[0.95] / intervals.own[0.8]


def test_a_larger_sum_has_the_narrower_interval_but_not_by_chance_alone(intervals: SumIntervals) -> None:
    one = folds(1, 3)

    def width(rows: pd.DataFrame) -> float:
        found = intervals.of_sums(rows, "chain").iloc[0]
        return float((found["high_80"] - found["low_80"]) / found["sum"])

    day, weeks, chain = one.head(1), one[one["store"] == 0], one
    assert width(day) > width(weeks) > width(chain) > SPREADS["fold"], "what all stores share does not cancel"


def test_a_sum_says_what_it_is_of(intervals: SumIntervals) -> None:
    one = folds(1, 3)
    found = intervals.of_sums(one[(one["store"] != 7) | (one["day"] > 9)], "store_week")
    first = found[found["store"] == 7].iloc[0]
    of_it = one[(one["store"] == 7) & one["day"].between(10, 13)]
    assert (first["week"], first["first"], first["last"], first["store_days"]) == (1, 10, 13, 4)
    assert first["sum"] == pytest.approx(of_it["mean"].sum())
    assert first["low_95"] < first["low_80"] < first["sum"] < first["high_80"] < first["high_95"]


def test_fewer_folds_give_wider_intervals_of_the_chain(intervals: SumIntervals) -> None:
    few = SumIntervals(intervals.variances, intervals.own, folds=3)
    chains = [one.of_sums(folds(1, 3), "chain")["high_80"].iloc[0] for one in (few, intervals)]
    assert chains[0] > chains[1]


def test_a_small_chain_has_the_quantiles_of_the_normal_distribution() -> None:
    one = calibrate_sums(folds(FOLDS, 1, stores=1))
    assert FOLDS < MIN_OWN_SUMS, "one sum per fold"
    assert one.own == pytest.approx({0.8: 1.2816, 0.95: 1.96}, rel=1e-3)


def test_exact_forecasts_have_finite_intervals() -> None:
    past = folds(2, 1)
    exact = calibrate_sums(past.assign(sales=past["mean"]))
    assert np.isfinite(exact.of_sums(past[past["made_on"] == 0], "store")["high_95"]).all()


def test_days_without_sales_do_not_count(intervals: SumIntervals) -> None:
    past = folds(FOLDS, 6)
    assert calibrate_sums(pd.concat([past, past.head(100).assign(sales=0.0)])) == intervals


def test_what_is_kept_survives_serialisation(intervals: SumIntervals) -> None:
    kept = {SUMS_FILE: json.loads(json.dumps(intervals.to_record()))}
    assert SumIntervals.from_artefacts(kept) == intervals
    assert SumIntervals.from_artefacts({}) is None
    earlier_release = {"fold": 0.001, "day": 0.001, "state": 0.001, "store": 0.001, "rest": 0.01, "folds": 3}
    assert SumIntervals.from_artefacts({SUMS_FILE: earlier_release}) is None
