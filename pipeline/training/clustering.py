"""Metrics of a clustering, for any kind of rows: silhouette, bootstrap stability, smallest share, unique names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score, silhouette_samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline


def silhouette(space: NDArray[np.float64], labels: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[float, float]:
    """Measure how well rows lie within their own cluster (Rousseeuw 1987).

    Args:
        space: (rows, dimensions), the space in which the clusters were found.
        labels: the cluster of each row.
        rows: positions of the rows to measure, as the cost is quadratic in them; see `sample_positions`.

    Returns:
        The mean silhouette, between -1 and 1, and its standard error. Both are NaN when the rows are all of one
        cluster, or each of its own.
    """
    clusters = len(np.unique(labels[rows]))
    if not 1 < clusters < len(rows):
        return float("nan"), float("nan")
    values = silhouette_samples(space[rows], labels[rows])
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


def stability(
    fitted: Pipeline, rows: pd.DataFrame, draws: Sequence[NDArray[np.int64]], unfitted: Pipeline | None = None
) -> float:
    """Measure whether the same clusters are found on other rows of the same population.

    Args:
        fitted: a fitted Pipeline that ends in a clustering.
        rows: the rows it was fitted on.
        draws: row positions of bootstrap resamples, see `resamples`.
        unfitted: what is fitted to each resample; `fitted` with the same parameters if left out.

    Returns:
        The mean adjusted Rand index, on `rows`, between the fitted Pipeline and its refits: 1 is always the same
        clusters, 0 is chance (Ben-Hur, Elisseeff & Guyon 2002; Hennig 2007).
    """
    labels = fitted.predict(rows)
    refits = (clone(fitted if unfitted is None else unfitted).fit(rows.iloc[draw]) for draw in draws)
    return float(np.mean([adjusted_rand_score(labels, refit.predict(rows)) for refit in refits]))


def smallest_share(labels: NDArray[np.int64], k: int) -> float:
    """Return the share of the rows that are in the smallest of k clusters, between 0 and 1; 0 if one is empty."""
    return float(np.bincount(labels, minlength=k).min() / len(labels))


def resamples(rows: int, seed: int, times: int) -> list[NDArray[np.int64]]:
    """Draw row positions with replacement, `rows` of them at a time.

    The same draws serve every k that is compared, so that chance does not tell them apart.
    """
    rng = np.random.default_rng(seed)
    return [rng.integers(0, rows, rows) for _ in range(times)]


def sample_positions(rows: int, at_most: int, seed: int) -> NDArray[np.int64]:
    """Draw at most `at_most` of the positions 0 to `rows` - 1 without replacement, in ascending order."""
    if rows <= at_most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, at_most, replace=False))


def unique_name(candidates: Iterable[str], taken: Iterable[str]) -> str:
    """Return the first candidate that is not taken; if all are, the last one with the lowest free number from 2 on."""
    *_, last = names = list(candidates)
    used = set(taken)
    numbered = (f"{last} {number}" for number in range(2, len(used) + 3))
    return next(name for name in (*names, *numbered) if name not in used)
