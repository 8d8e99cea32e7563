"""The measures of a clustering: values by hand, planted clusters, and what has no answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.training.clustering import (
    resamples,
    sample_positions,
    silhouette,
    smallest_share,
    stability,
    unique_name,
)


def kmeans(k: int) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("kmeans", KMeans(k, n_init=3, random_state=7))])


def separated(k: int = 3, rows: int = 200) -> pd.DataFrame:
    values, _ = make_blobs(rows, centers=k, n_features=4, cluster_std=0.4, center_box=(-9, 9), random_state=3)
    return pd.DataFrame(values, columns=list("abcd"))


def test_silhouette_is_that_of_the_rows_named_and_has_a_standard_error() -> None:
    rows = separated().to_numpy()
    labels = kmeans(3).fit_predict(separated())
    some = np.arange(0, 200, 2)
    mean, error = silhouette(rows, labels, some)
    assert mean == pytest.approx(silhouette_score(rows[some], labels[some]))
    assert 0 < error < 0.05
    assert silhouette(rows, labels, np.arange(200))[0] != mean


@pytest.mark.parametrize("labels", [np.zeros(50, dtype=np.int64), np.arange(50)])
def test_one_cluster_or_a_cluster_per_row_has_no_silhouette(labels: np.ndarray) -> None:
    space = np.random.default_rng(0).normal(size=(50, 2))
    assert np.isnan(silhouette(space, labels, np.arange(50))).all()


def test_separated_clusters_are_stable_and_noise_is_not() -> None:
    draws = resamples(200, 7, 5)
    noise = pd.DataFrame(np.random.default_rng(0).uniform(size=(200, 4)), columns=list("abcd"))
    assert stability(kmeans(3).fit(separated()), separated(), draws) > 0.99
    assert stability(kmeans(6).fit(noise), noise, draws) < 0.8


def test_stability_refits_what_it_is_given() -> None:
    rows, draws = separated(), resamples(200, 7, 5)
    assert stability(kmeans(3).fit(rows), rows, draws, kmeans(6)) < stability(kmeans(3).fit(rows), rows, draws)


def test_the_smallest_share_of_an_empty_cluster_is_zero() -> None:
    assert smallest_share(np.array([0, 0, 0, 1]), 2) == 0.25
    assert smallest_share(np.array([0, 0, 0, 1]), 3) == 0


def test_draws_are_seeded_and_samples_are_without_replacement() -> None:
    first, second = resamples(50, 7, 2)
    np.testing.assert_array_equal(first, resamples(50, 7, 2)[0])
    assert not np.array_equal(first, second)
    assert len(np.unique(first)) < 50, "with replacement"
    positions = sample_positions(50, 20, 7)
    assert len(np.unique(positions)) == 20
    assert (np.diff(positions) > 0).all()
    assert sample_positions(20, 20, 7).tolist() == list(range(20))


def test_a_name_is_the_shortest_that_is_free_and_numbered_if_none_is() -> None:
    assert unique_name(["young", "young, rich"], []) == "young"
    assert unique_name(["young", "young, rich"], ["young"]) == "young, rich"
    taken = ["young", "young, rich", "young, rich 2"]
    assert unique_name(["young", "young, rich"], taken) == "young, rich 3"
