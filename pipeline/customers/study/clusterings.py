"""The figures of the study: every algorithm at every number of clusters in one space, with what can be said for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    pairwise_distances,
    silhouette_score,
)
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.customers.choose_k import elbow
from pipeline.training.clustering import resamples, smallest_share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int64]

KMEANS, MIXTURE, WARD = "k-means", "Gaussian mixture", "Ward"
ALGORITHMS = (KMEANS, MIXTURE, WARD)
ASSIGNING = frozenset({KMEANS, MIXTURE})
"""Algorithms that can say of a new customer which cluster is the nearest."""
NUMBERS = tuple(range(2, 21))
RESAMPLES = 4


@dataclass(frozen=True)
class Clustering:
    """One algorithm with k clusters in one space.

    Attributes:
        space, algorithm, k: what was tried.
        inertia: within-cluster sum of squares, in the space.
        elbow: whether k is where the inertia of this algorithm bends most (Satopää et al. 2011).
        silhouette: mean, in the space itself (Rousseeuw 1987).
        plain_silhouette: mean silhouette of the same clusters in the plain feature space.
        davies_bouldin: lower is better (Davies & Bouldin 1979).
        calinski_harabasz: higher is better (Caliński & Harabasz 1974).
        stability: mean adjusted Rand index with the same algorithm on bootstrap samples of the points, on the customers
            that were drawn (Ben-Hur, Elisseeff & Guyon 2002). Pictures are not drawn anew, so theirs is flattered.
        smallest_share, largest_share: of the customers in the smallest and the largest cluster.
        seconds: for the fit and its figures; Ward's tree serves every k, so each has an equal part of it.
    """

    space: str
    algorithm: str
    k: int
    inertia: float
    elbow: bool
    silhouette: float
    plain_silhouette: float
    davies_bouldin: float
    calinski_harabasz: float
    stability: float
    smallest_share: float
    largest_share: float
    seconds: float


def cluster(points: Floats, algorithm: str, numbers: Sequence[int], seed: int) -> dict[int, Labels]:
    """Return, for each number of clusters, the cluster of each point, counted from 0."""
    if algorithm == WARD:
        tree = linkage(points, "ward")
        return {k: fcluster(tree, k, "maxclust").astype(np.int64) - 1 for k in numbers}
    with threadpool_limits(1):
        return {k: _model(algorithm, k, seed).fit_predict(points).astype(np.int64) for k in numbers}


def measure(
    space: str, points: Floats, plain: Floats, algorithm: str, seed: int, numbers: Sequence[int] = NUMBERS
) -> list[Clustering]:
    """Try every number of clusters of an algorithm in a space.

    Args:
        space: its name.
        points: (customers, dimensions).
        plain: (customers, dimensions), the same customers in the plain feature space.
        algorithm: one of `ALGORITHMS`.
        seed: of everything random.
        numbers: of clusters, without a gap from 2 up.
    """
    start = time.monotonic()
    near, near_plain = _distances(points), _distances(plain)
    found = cluster(points, algorithm, numbers, seed)
    stabilities = _stabilities(points, algorithm, found, seed)
    shared = (time.monotonic() - start) / len(numbers)
    inertias = {k: _inertia(points, labels) for k, labels in found.items()}
    bend = elbow([_inertia(points, np.zeros(len(points), dtype=np.int64)), *inertias.values()])
    measured = []
    for k, labels in found.items():
        start = time.monotonic()
        several = len(np.unique(labels)) > 1
        figures = (
            _silhouette(near, labels),
            _silhouette(near_plain, labels),
            float(davies_bouldin_score(points, labels)) if several else float("nan"),
            float(calinski_harabasz_score(points, labels)) if several else float("nan"),
            stabilities[k],
            smallest_share(labels, k),
            float(np.bincount(labels).max() / len(labels)),
        )
        seconds = shared + time.monotonic() - start
        measured.append(Clustering(space, algorithm, k, inertias[k], k == bend, *figures, seconds))
    return measured


def _model(algorithm: str, k: int, seed: int) -> KMeans | GaussianMixture:
    if algorithm == KMEANS:
        return KMeans(k, n_init=3, random_state=seed)
    # Diagonal covariances: full ones of 20 components have more parameters than small shops have customers.
    return GaussianMixture(k, covariance_type="diag", reg_covar=1e-4, random_state=seed)


def _stabilities(points: Floats, algorithm: str, found: Mapping[int, Labels], seed: int) -> dict[int, float]:
    agreements: dict[int, list[float]] = {k: [] for k in found}
    for draw in resamples(len(points), seed, RESAMPLES):
        drawn, first = np.unique(draw, return_index=True)
        for k, labels in cluster(points[draw], algorithm, list(found), seed).items():
            agreements[k].append(adjusted_rand_score(found[k][drawn], labels[first]))
    return {k: float(np.mean(values)) for k, values in agreements.items()}


def _inertia(points: Floats, labels: Labels) -> float:
    clusters = (points[labels == label] for label in np.unique(labels))
    return float(sum(((members - members.mean(axis=0)) ** 2).sum() for members in clusters))


def _distances(points: Floats) -> NDArray[np.float32]:
    # In single precision: of 5,000 customers they take 100 MB.
    return np.asarray(pairwise_distances(points.astype(np.float32)))


def _silhouette(distances: NDArray[np.float32], labels: Labels) -> float:
    if not 1 < len(np.unique(labels)) < len(labels):
        return float("nan")
    return float(silhouette_score(distances, labels, metric="precomputed"))
