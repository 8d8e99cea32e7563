"""The study of segmentations: spaces, algorithms and numbers of clusters, measured side by side.

It registers nothing. It shows what the champion's choice was made against, and says where a good figure deceives: a
silhouette that is high only inside a two-dimensional picture, whose distances the drawing made, or one that comes from
a few outliers against everybody else.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import IsolationForest

from pipeline.customers.choose_k import STEADY
from pipeline.customers.segments import SEGMENT_FEATURES
from pipeline.customers.study.clusterings import ALGORITHMS, ASSIGNING, NUMBERS, Clustering, measure
from pipeline.customers.study.spaces import (
    FIFTEEN_FEATURES,
    LOG_STANDARDISED,
    NEEDS_UMAP,
    SPACES,
    Space,
    has_umap,
    make_space,
)
from pipeline.errors import RefusedError
from pipeline.logs import log_event
from pipeline.training.clustering import sample_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

log = logging.getLogger(__name__)

MAX_CUSTOMERS = 5_000
"""Customers that are studied, at most, drawn with the seed: Ward's method needs memory that is quadratic in them."""
MIN_CUSTOMERS = 100
OUTLIER_SHARE = 0.02
"""Share of the customers that the isolation forest calls outliers."""
PICTURE_GAIN = 0.1
"""A silhouette in a picture that is this much above the one in the features is the picture's work."""
MIN_SEGMENTS = 3
"""Two clusters only tell those who buy a lot from the others."""
FEW = 0.01
"""A cluster with a smaller share is a handful of outliers."""


@dataclass(frozen=True)
class Study:
    """The results.

    Attributes:
        customers: number of customers that were studied; `of` is the number there is.
        spaces: the spaces, each with its points.
        clusterings: what was measured, in the order of spaces, algorithms and k.
        outliers: features of the customers that stand apart, the most isolated first, with their isolation.
        set_aside: whether the outliers were left out of what was studied.
        left_out: names of spaces that need a library that is not installed.
        seconds: for all of it.
    """

    customers: int
    of: int
    spaces: Sequence[Space]
    clusterings: Sequence[Clustering]
    outliers: pd.DataFrame
    set_aside: bool
    left_out: Sequence[str]
    seconds: float


def run_study(features: pd.DataFrame, *, seed: int, set_aside: bool = False) -> Study:
    """Measure every space, algorithm and number of clusters.

    Args:
        features: one row per customer: customer_id and the features; all of `FIFTEEN_FEATURES` finite.
        seed: of everything random.
        set_aside: leave the outliers out of what is studied. They are listed in any case.

    Raises:
        RefusedError: there are too few customers, or too few different ones.
    """
    _check_enough(features)
    start = time.monotonic()
    ordered = features.sort_values("customer_id", ignore_index=True)
    rows = ordered.iloc[sample_positions(len(ordered), MAX_CUSTOMERS, seed)].reset_index(drop=True)
    outliers = find_outliers(rows, seed)
    if set_aside:
        rows = rows[~rows["customer_id"].isin(outliers["customer_id"])].reset_index(drop=True)
    left_out = [name for name in SPACES if name in NEEDS_UMAP and not has_umap()]
    spaces, clusterings = [], []
    plain = make_space(LOG_STANDARDISED, rows, seed).points
    for name in SPACES:
        if name in left_out:
            continue
        space = make_space(name, rows, seed)
        spaces.append(space)
        for algorithm in ALGORITHMS:
            clusterings += measure(name, space.points, plain, algorithm, seed)
            log_event(log, "studied", space=name, algorithm=algorithm)
    seconds = time.monotonic() - start
    return Study(len(rows), len(features), spaces, clusterings, outliers, set_aside, left_out, seconds)


def _check_enough(features: pd.DataFrame) -> None:
    different = len(features[list(SEGMENT_FEATURES)].drop_duplicates())
    if len(features) < MIN_CUSTOMERS or different <= max(NUMBERS):
        raise RefusedError(
            "too few customers to study",
            observed=f"{len(features):,} customers, {different:,} of them different",
            allowed=f"{MIN_CUSTOMERS} or more, and more than {max(NUMBERS)} different ones",
            todo="choose a later day or a longer window",
        )


def find_outliers(features: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the customers that few random cuts isolate (isolation forest: Liu, Ting & Zhou 2008).

    Returns:
        `OUTLIER_SHARE` of the rows, the most isolated first, with the column `isolation`, 0 to 1: half is usual.
    """
    points = make_space(LOG_STANDARDISED, features, seed).points
    isolation = -IsolationForest(random_state=seed).fit(points).score_samples(points)
    first = np.argsort(-isolation, kind="stable")[: int(len(points) * OUTLIER_SHARE)]
    return features.iloc[first][["customer_id", *FIFTEEN_FEATURES]].assign(isolation=isolation[first])


def can_register(clustering: Clustering, spaces: Sequence[Space]) -> bool:
    """Whether a model of this kind could assign a customer who comes tomorrow."""
    assigns = {space.name: space.assigns for space in spaces}
    return assigns[clustering.space] and clustering.algorithm in ASSIGNING


def caution(clustering: Clustering, spaces: Sequence[Space]) -> str:
    """What a reader of the figures must know; empty if there is nothing."""
    picture = {space.name: space.picture for space in spaces}[clustering.space]
    said = []
    if picture and clustering.silhouette - clustering.plain_silhouette > PICTURE_GAIN:
        said.append("only in the picture")
    if clustering.smallest_share < FEW:
        said.append("outliers are a cluster")
    if clustering.stability < STEADY:
        said.append("not found again")
    return "; ".join(said)


def best_of_each(study: Study) -> list[Clustering]:
    """Return, for each space and algorithm, the number of clusters with the highest silhouette in the space."""
    pairs = dict.fromkeys((one.space, one.algorithm) for one in study.clusterings)
    return [
        max((one for one in study.clusterings if (one.space, one.algorithm) == pair), key=lambda one: one.silhouette)
        for pair in pairs
    ]
