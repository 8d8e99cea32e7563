"""The number of segments: planted numbers are found, and each floor can say no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.customers.choose_k import (
    MAX_K,
    MIN_K,
    CurvePoint,
    Floors,
    _decide,
    choose_k,
    elbow,
)
from pipeline.customers.segments import LogSkewed
from pipeline.errors import RefusedError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def islands(k: int, rows: int = 300, seed: int = 3) -> pd.DataFrame:
    values, _ = make_blobs(rows, centers=k, n_features=5, cluster_std=0.6, center_box=(-9, 9), random_state=seed)
    return pd.DataFrame(values, columns=list("abcde"))


def recipe(k: int, seed: int) -> Pipeline:
    return make_pipeline(LogSkewed(), StandardScaler(), KMeans(n_clusters=k, n_init=5, random_state=seed))


def point(k: int, silhouette: float, stability: float = 0.9, refused: str = "") -> CurvePoint:
    return CurvePoint(k, 100.0 / k, silhouette, 0.01, stability, 0.1, refused)


@pytest.mark.parametrize("planted", [2, 5, 8])
def test_planted_number_is_found(planted: int) -> None:
    choice = choose_k(islands(planted), recipe, seed=7)
    assert choice.k == planted
    assert [p.k for p in choice.curve] == list(range(MIN_K, MAX_K + 1))
    assert str(planted) in choice.reason


def test_curve_is_a_record_with_finite_figures_and_falls() -> None:
    record = choose_k(islands(4), recipe, seed=7).to_record()
    curve = pd.DataFrame(record["curve"])
    assert np.isfinite(curve.drop(columns="refused").to_numpy(dtype=float)).all()
    assert curve["inertia"].is_monotonic_decreasing
    assert record["rows"] == 300


def test_same_seed_same_choice() -> None:
    assert choose_k(islands(4), recipe, seed=5) == choose_k(islands(4), recipe, seed=5)


def test_stability_floor_says_no() -> None:
    noise = pd.DataFrame(np.random.default_rng(0).uniform(size=(300, 5)), columns=list("abcde"))
    with pytest.raises(RefusedError, match="no number of segments is admissible") as refused:
        choose_k(noise, recipe, seed=7, floors=Floors(stability=0.95))
    assert "stability" in str(refused.value.observed)


def test_the_usual_floor_of_stability_divides_the_curve() -> None:
    curve = choose_k(islands(4), recipe, seed=7).curve
    unstable = [p for p in curve if p.stability < 0.7]
    assert unstable
    assert all("stability" in p.refused for p in unstable)
    assert not any("stability" in p.refused for p in curve if p not in unstable)
    assert min(p.stability for p in curve) > 0.4


def test_smallest_share_floor_says_no() -> None:
    with pytest.raises(RefusedError, match="smallest segment"):
        choose_k(islands(3), recipe, seed=7, floors=Floors(smallest_share=0.6))


def test_smallest_share_floor_strikes_out_the_handful_of_outliers() -> None:
    crowd, handful = islands(3), islands(1, rows=5) + 60
    rows = pd.concat([crowd, handful], ignore_index=True)
    choice = choose_k(rows, recipe, seed=7)
    split = [p for p in choice.curve if p.smallest_share < 0.03]
    assert split
    assert all("smallest segment" in p.refused for p in split)
    assert all(p.k != choice.k for p in split)


def test_too_few_customers_says_how_many() -> None:
    with pytest.raises(RefusedError) as refused:
        choose_k(islands(3, rows=99), recipe, seed=7)
    assert refused.value.observed == "99 customers"
    assert refused.value.allowed == "100 or more"
    assert choose_k(islands(3, rows=100), recipe, seed=7).rows == 100


def test_identical_customers_are_refused() -> None:
    with pytest.raises(RefusedError, match="too alike"):
        choose_k(pd.DataFrame(np.ones((200, 5)), columns=list("abcde")), recipe, seed=7)


def test_elbow_is_farthest_below_the_chord() -> None:
    assert elbow([100, 60, 20, 18, 16, 14]) == 3
    assert elbow([100, 10, 9, 8, 7, 6]) == 2
    assert elbow([100, 70, 45, 42, 41, 40]) == 3


def test_below_the_elbow_a_better_silhouette_does_not_count() -> None:
    assert _decide([point(2, 0.6), point(3, 0.3), point(4, 0.2)], 3)[0] == 3


def test_among_silhouettes_within_the_standard_error_the_smallest_is_taken() -> None:
    k, reason = _decide([point(3, 0.29), point(4, 0.303), point(5, 0.310), point(6, 0.309)], 3)
    assert k == 4
    assert "4 is within its standard error" in reason


def test_number_in_use_stays_where_none_is_steady() -> None:
    assert _decide([point(3, 0.300, 0.8), point(4, 0.310, 0.75)], 3, in_use=3)[0] == 3


def test_steady_numbers_go_before_others_with_a_better_silhouette() -> None:
    assert _decide([point(3, 0.3, 0.85), point(4, 0.4, 0.849)], 3)[0] == 3
    assert _decide([point(3, 0.3, 0.8), point(4, 0.4, 0.75)], 3)[0] == 4


def test_number_in_use_stays_unless_another_is_clearly_better() -> None:
    curve = [point(3, 0.280), point(4, 0.281), point(5, 0.300)]
    assert _decide(curve, 3)[0] == 5
    k, reason = _decide(curve, 3, in_use=4)
    assert k == 4
    assert "not clearly better than the 4 in use" in reason
    assert _decide([point(3, 0.28), point(4, 0.279), point(5, 0.3)], 3, in_use=4)[0] == 5


def test_number_in_use_stays_below_an_elbow_that_moved() -> None:
    assert _decide([point(3, 0.3), point(4, 0.31), point(5, 0.2)], 4, in_use=3)[0] == 3


@pytest.mark.parametrize("worse", [point(4, 0.3, refused="stability"), point(4, 0.3, stability=0.84)])
def test_number_in_use_goes_when_it_is_refused_or_no_longer_steady(worse: CurvePoint) -> None:
    assert _decide([point(3, 0.3), worse], 3, in_use=4)[0] == 3


def test_number_in_use_outside_the_curve_is_no_reason() -> None:
    assert _decide([point(3, 0.3), point(4, 0.2)], 3, in_use=40)[0] == 3


def test_refused_k_is_not_taken_however_good() -> None:
    assert _decide([point(3, 0.3), point(4, 0.9, refused="stability")], 3)[0] == 3


def test_nothing_admissible_from_the_elbow_up_takes_the_largest_below() -> None:
    k, reason = _decide([point(2, 0.5), point(3, 0.4), point(4, 0.6, refused="smallest share")], 4)
    assert k == 3
    assert "only 2, 3 reach the floors" in reason
