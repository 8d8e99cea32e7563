"""Customer segments: the model, its training, and the figures that the gate asks for.

The model is a scikit-learn Pipeline: log where skewed, scale to unit variance, k-means. It is trained on:

    recency_days         is the customer still coming
    invoices             how often
    revenue              how much, net of returns (these three: "RFM", Hughes 1994)
    median_basket_units  does a purchase fill a shelf or a bag: shops and people
    cancellation_rate    how much comes back
    purchase_frequency   purchases over the customer's own time rather than the window: the new and the lapsed

Six of the features rather than all. k-means weighs each column alike, so those that say the same thing again (units,
average_ticket, distinct_products, monthly_spend_mean, cancellations, return_units) would count one trait several times.
Hour and weekday are circular and say when, not who. is_home_country is one of two values, and k-means would cut along
it and nothing else. Spread and trend of monthly spend, and days between invoices, are fixed values for the many with
one purchase. The profiles show the means of all features nevertheless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.customers.choose_k import (
    CURVE_ROWS,
    Choice,
    Floors,
    choose_k,
    resamples,
    sample,
    silhouette,
    smallest_share,
    stability,
)
from pipeline.customers.segment_map import Segment, SegmentMap
from pipeline.customers.segment_names import INSIDERS, match_segments, name_segments
from pipeline.errors import RefusedError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

SEGMENT_FEATURES: tuple[str, ...] = (
    "recency_days",
    "invoices",
    "revenue",
    "median_basket_units",
    "cancellation_rate",
    "purchase_frequency",
)
SKEWED = 1.0  # |skewness| above 1 is "highly skewed" (Bulmer 1979, Principles of Statistics)
STARTS = 5  # k-means++ starts a fit; the best is kept
GATE_RESAMPLES = 20

# All that skops needs to be told to trust when the Pipeline is saved and loaded; the rest it knows.
TRUSTED_TYPES: tuple[str, ...] = ("pipeline.customers.segments.LogSkewed",)


class LogSkewed(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """sign(x) * log(1 + |x|) in the columns that need it, decided at fit.

    A column needs it when its |skewness| is above `SKEWED` and less after the log; a tail to the left, which the log
    makes longer, stays as it is. Signed, as revenue net of returns may be negative.

    Attributes:
        logged_: bool, one a column.
        n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: N803, ARG002 (scikit-learn's signature)
        values = validate_data(self, X, dtype=np.float64)
        before = np.abs(_skewness(values))
        self.logged_ = (before > SKEWED) & (np.abs(_skewness(_signed_log(values))) < before)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        return np.where(self.logged_, _signed_log(values), values)


@dataclass(frozen=True)
class SegmentModel:
    """A fitted Pipeline and what its clusters mean. The Pipeline alone predicts positions in `map.segments`."""

    pipeline: Pipeline
    map: SegmentMap

    def predict(self, features: pd.DataFrame) -> NDArray[np.int64]:
        """The segment id of each row. For many rows, `segment_map.assign` does the same in the engine."""
        ids = np.array([segment.segment_id for segment in self.map.segments], dtype=np.int64)
        positions: NDArray[np.int64] = self.pipeline.predict(features[list(self.map.features)])
        return ids[positions]


@dataclass(frozen=True)
class Training:
    """What a training gives: the model, and how its number of segments was chosen."""

    model: SegmentModel
    choice: Choice


def build_pipeline(k: int, seed: int) -> Pipeline:
    """The unfitted model with k clusters."""
    return Pipeline(
        [
            ("log", LogSkewed()),
            ("scale", StandardScaler()),
            ("kmeans", KMeans(n_clusters=k, n_init=STARTS, random_state=seed)),
        ]
    )


def train(
    features: pd.DataFrame, *, seed: int, champion: SegmentModel | None = None, floors: Floors | None = None
) -> Training:
    """Choose k, fit on all customers, name the segments and carry over the identity of the champion's.

    The same customers in any order, with the same seed and champion, give the same model bit for bit: rows are
    sorted, and sums are taken by one thread, as several would add in the order they happen to finish.

    Args:
        features: one row a customer: customer_id and the features; profiles take the mean of every numeric column.
        seed: for everything random.
        champion: the model in use, if there is one; a segment that shares enough customers with one of its segments is
            that segment still, by id and name.
        floors: what a number of segments must reach.

    Raises:
        RefusedError: a column is missing or holds values that are not numbers, too few customers, or no admissible k.
    """
    _usable(features, SEGMENT_FEATURES)
    features = features.sort_values("customer_id", ignore_index=True)
    inputs = features[list(SEGMENT_FEATURES)]
    choice = choose_k(inputs, build_pipeline, seed=seed, floors=floors)
    with threadpool_limits(1):
        pipeline = build_pipeline(choice.k, seed).fit(inputs)
        labels = pipeline.predict(inputs)
    return Training(SegmentModel(pipeline, _map(pipeline, features, labels, champion)), choice)


def segment_quality(pipeline: Pipeline, features: pd.DataFrame, seed: int) -> dict[str, float]:
    """The gate's figures of a fitted Pipeline on a window of features that stays the same for all who compete.

    Every model is measured with one yardstick: the silhouette is taken in the space that the window itself gives (log
    and scale fitted on it), not in each model's own, where a smaller scale would flatter.

    Returns:
        silhouette: mean, of the Pipeline's clusters; NaN if it puts all customers in one.
        stability: mean adjusted Rand index with refits of the same recipe on bootstrap resamples of the window. A model
            that no longer divides these customers as they would divide by themselves loses here.
        smallest_share: of the window's customers; 0 if a cluster is empty.

    Raises:
        RefusedError: a column is missing or holds values that are not numbers.
    """
    used = tuple(str(name) for name in pipeline.feature_names_in_)
    _usable(features, (*SEGMENT_FEATURES, *used))
    rows = sample(features, CURVE_ROWS, seed)
    with threadpool_limits(1):
        labels = pipeline.predict(rows[list(used)])
        space = build_pipeline(2, seed)[:-1].fit_transform(rows[list(SEGMENT_FEATURES)])
        mean, _ = silhouette(space, labels, seed=seed)
        steady = stability(pipeline, rows[list(used)], resamples(len(rows), seed, GATE_RESAMPLES))
    share = smallest_share(labels, int(pipeline[-1].n_clusters))
    return {"silhouette": mean, "stability": steady, "smallest_share": share}


def _map(
    pipeline: Pipeline, features: pd.DataFrame, labels: NDArray[np.int64], champion: SegmentModel | None
) -> SegmentMap:
    scaler, centres = pipeline["scale"], pipeline["kmeans"].cluster_centers_
    positions = range(len(centres))
    groups = features.groupby(labels)
    sizes, revenue = (
        groups.size().reindex(positions, fill_value=0),
        groups["revenue"].sum().reindex(positions, fill_value=0.0),
    )
    means = groups.mean(numeric_only=True).reindex(positions, fill_value=0.0)
    per_customer = means["revenue"]
    deviations = [dict(zip(SEGMENT_FEATURES, centre.tolist(), strict=True)) for centre in centres]

    old = champion.map.segments if champion else ()
    top = int(per_customer.argmax())
    kept = _matched(champion, features, labels, [i == top for i in positions]) if champion else {}
    names = name_segments(deviations, per_customer.tolist(), {i: old[j].name for i, (j, _) in kept.items()})
    next_id = champion.map.next_id if champion else 1
    ids = {i: old[j].segment_id for i, (j, _) in kept.items()}
    for i in sorted(positions, key=lambda i: -per_customer[i]):
        if i not in ids:
            ids[i], next_id = next_id, next_id + 1

    total = float(revenue.sum())
    segments = tuple(
        Segment(
            segment_id=ids[i],
            name=names[i],
            customers=int(sizes[i]),
            share=float(sizes[i] / len(features)),
            revenue=float(revenue[i]),
            revenue_share=float(revenue[i] / total) if total > 0 else 0.0,
            revenue_per_customer=float(per_customer[i]),
            profile=dict(zip(map(str, means.columns), means.to_numpy(dtype=float)[i].tolist(), strict=True)),
            deviation=deviations[i],
            overlap=kept[i][1] if i in kept else None,
        )
        for i in positions
    )
    return SegmentMap(
        features=SEGMENT_FEATURES,
        logged=tuple(pipeline["log"].logged_.tolist()),
        means=tuple(scaler.mean_.tolist()),
        scales=tuple(scaler.scale_.tolist()),
        centres=tuple(tuple(centre) for centre in centres.tolist()),
        segments=segments,
        next_id=next_id,
    )


def _matched(
    champion: SegmentModel, features: pd.DataFrame, labels: NDArray[np.int64], insiders: list[bool]
) -> dict[int, tuple[int, float]]:
    _usable(features, champion.map.features)
    before = champion.pipeline.predict(features[list(champion.map.features)])
    old_insiders = [segment.name == INSIDERS for segment in champion.map.segments]
    return match_segments(before, labels, old_insiders=old_insiders, new_insiders=insiders)


def _usable(features: pd.DataFrame, needed: tuple[str, ...]) -> None:
    missing = [name for name in dict.fromkeys(needed) if name not in features.columns]
    bad: dict[str, Any] = {
        name: int((~np.isfinite(features[name].to_numpy(dtype=np.float64))).sum())
        for name in dict.fromkeys(needed)
        if name not in missing
    }
    bad = {name: count for name, count in bad.items() if count}
    if missing or bad:
        raise RefusedError(
            "the customer features cannot be segmented",
            where="customer_features",
            observed=f"missing columns: {missing or 'none'}; rows that are not finite numbers: {bad or 'none'}",
            allowed="every column there, finite in every row",
            todo="build the features again with this version of the code",
        )


def _signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(values) * np.log1p(np.abs(values))


def _skewness(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Third standardised moment of each column; 0 for a constant one."""
    centred = values - values.mean(axis=0)
    spread = values.std(axis=0)
    flat = spread <= 1e-12 * np.maximum(1.0, np.abs(values).max(axis=0))
    return np.where(flat, 0.0, (centred**3).mean(axis=0) / np.where(flat, 1.0, spread) ** 3)
