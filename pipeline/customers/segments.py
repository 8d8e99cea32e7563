"""Customer segments: the model, its training, and the metrics that the gate compares.

The model is a scikit-learn Pipeline: log of all columns but recency, scale to unit variance, k-means. It is trained on:

    recency_days         whether the customer is still active
    invoices             how often the customer buys
    revenue              how much, net of returns (these three are "RFM", Hughes 1994)
    median_basket_units  the size of a purchase, which separates resellers from consumers
    cancellation_rate    how much is returned
    purchase_frequency   purchases over the customer's own time rather than over the window: new and lapsed customers

Six of the features, not all. k-means gives every column the same weight, so columns that carry the same information
(units, average_ticket, distinct_products, monthly_spend_mean, cancellations, return_units) would count it several
times. Hour and weekday are circular and describe when customers buy, not who they are. is_home_country has two values,
and k-means would split along it alone. Spread and trend of monthly spend, and days between invoices, are constants for
the many customers with one purchase. The profiles show the means of all features nevertheless.

Which columns are logged is fixed, all but recency. Counts and amounts differ between customers by factors; recency is
bounded by the window. Earlier releases logged a column if it was skewed at the fit: on UCI Online Retail the skewness
of recency passes 1 in November, so from one training to the next the space changed, and the segments with it.
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

from pipeline.customers.choose_k import Choice, Floors, choose_k, sample, sampled_silhouette
from pipeline.customers.segment_map import Segment, SegmentMap
from pipeline.customers.segment_names import INSIDERS, match_segments, name_segments
from pipeline.errors import RefusedError
from pipeline.training.clustering import resamples, smallest_share, stability

if TYPE_CHECKING:
    from collections.abc import Sequence

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
LOGGED: tuple[bool, ...] = tuple(feature != "recency_days" for feature in SEGMENT_FEATURES)
"""Whether a feature is logged, in the order of `SEGMENT_FEATURES`."""
MAX_SKEWNESS = 1.0
"""Above it a column is "highly skewed" (Bulmer 1979, Principles of Statistics)."""
STARTS = 5
"""k-means++ starts of a fit, of which the best is kept."""
GATE_RESAMPLES = 20

TRUSTED_TYPES: tuple[str, ...] = ("pipeline.customers.segments.LogSkewed",)
"""Types of a saved Pipeline that skops does not trust by itself."""


class LogSkewed(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Replace x by sign(x) * log(1 + |x|) in some columns; the sign is kept because net revenue may be negative.

    Without `columns`, as in models of earlier releases, the skewed columns are chosen at fit: a column is transformed
    if its absolute skewness is above `MAX_SKEWNESS` and smaller after the transformation, so a long tail to the left,
    which the logarithm would make longer, stays as it is.

    Args:
        columns: (columns,) bool, whether a column is transformed; None to choose them at fit.

    Attributes:
        logged_: (columns,) bool, whether a column is transformed.
        n_features_in_, feature_names_in_: as in scikit-learn.
    """

    columns: Sequence[bool] | None = None  # files of earlier releases lack it

    def __init__(self, columns: Sequence[bool] | None = None) -> None:
        self.columns = columns

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: N803, ARG002 (scikit-learn's signature)
        values = validate_data(self, X, dtype=np.float64)
        if self.columns is not None:
            self.logged_ = np.array(self.columns)
            return self
        before = np.abs(_skewness(values))
        self.logged_ = (before > MAX_SKEWNESS) & (np.abs(_skewness(_signed_log(values))) < before)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        return np.where(self.logged_, _signed_log(values), values)


@dataclass(frozen=True)
class SegmentModel:
    """A fitted Pipeline and the meaning of its clusters; the Pipeline predicts positions in `map.segments`."""

    pipeline: Pipeline
    map: SegmentMap

    def predict(self, features: pd.DataFrame) -> NDArray[np.int64]:
        """Return the segment id of each row. For many rows, `segment_map.assign` does the same in the engine."""
        ids = np.array([segment.segment_id for segment in self.map.segments], dtype=np.int64)
        positions: NDArray[np.int64] = self.pipeline.predict(features[list(self.map.features)])
        return ids[positions]


@dataclass(frozen=True)
class Training:
    """The result of a training: the model, and how its number of segments was chosen."""

    model: SegmentModel
    choice: Choice


def build_pipeline(k: int, seed: int) -> Pipeline:
    """Return the unfitted model with k clusters."""
    return Pipeline(
        [
            ("log", LogSkewed(LOGGED)),
            ("scale", StandardScaler()),
            ("kmeans", KMeans(n_clusters=k, n_init=STARTS, random_state=seed)),
        ]
    )


def train(
    features: pd.DataFrame, *, seed: int, champion: SegmentModel | None = None, floors: Floors | None = None
) -> Training:
    """Choose k, fit on all customers, name the segments, and keep the identity of the champion's segments.

    The same customers in any order, with the same seed and champion, give the same model bit for bit: rows are
    sorted, and one thread takes the sums, because several would add up in the order in which they finish.

    Args:
        features: one row per customer: customer_id and the features; profiles are means of every numeric column.
        seed: of everything random.
        champion: the model in use, if there is one. A segment that shares enough customers with one of its segments
            keeps that segment's id and name, and its number of segments stays unless another is clearly better.
        floors: what a number of segments must reach.

    Raises:
        RefusedError: a column is missing or holds values that are not numbers, there are too few customers, or no k is
            admissible.
    """
    _check_usable(features, SEGMENT_FEATURES)
    features = features.sort_values("customer_id", ignore_index=True)
    inputs = features[list(SEGMENT_FEATURES)]
    in_use = len(champion.map.segments) if champion else None
    choice = choose_k(inputs, build_pipeline, seed=seed, floors=floors, in_use=in_use)
    with threadpool_limits(1):
        pipeline = build_pipeline(choice.k, seed).fit(inputs)
        labels = pipeline.predict(inputs)
    return Training(SegmentModel(pipeline, _describe(pipeline, features, labels, champion)), choice)


def segment_quality(pipeline: Pipeline, features: pd.DataFrame, seed: int) -> dict[str, float]:
    """Measure a fitted Pipeline on a window of features, for the gate.

    All models are measured in the same space: the silhouette is taken where log and scale are fitted on the window, not
    in each model's own space, where a smaller scale would flatter it.

    Args:
        pipeline: the fitted model.
        features: the window, one row per customer.
        seed: of the sample and the resamples.

    Returns:
        silhouette: mean, between -1 and 1; NaN if the Pipeline puts all customers into one cluster.
        stability: mean adjusted Rand index with refits on bootstrap resamples of the window; 1 is always the same
            segments. It falls if the model no longer divides these customers as a new fit would.
        smallest_share: share of the window's customers in the smallest cluster, 0 to 1.

    Raises:
        RefusedError: a column is missing or holds values that are not numbers.
    """
    used = tuple(str(name) for name in pipeline.feature_names_in_)
    _check_usable(features, (*SEGMENT_FEATURES, *used))
    rows = sample(features, seed)
    with threadpool_limits(1):
        labels = pipeline.predict(rows[list(used)])
        space = build_pipeline(2, seed)[:-1].fit_transform(rows[list(SEGMENT_FEATURES)])
        mean, _ = sampled_silhouette(space, labels, seed)
        agreement = stability(pipeline, rows[list(used)], resamples(len(rows), seed, GATE_RESAMPLES))
    share = smallest_share(labels, int(pipeline[-1].n_clusters))
    return {"silhouette": mean, "stability": agreement, "smallest_share": share}


def _describe(
    pipeline: Pipeline, features: pd.DataFrame, labels: NDArray[np.int64], champion: SegmentModel | None
) -> SegmentMap:
    """Return the fitted segments as numbers, with their names, ids and profiles."""
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

    previous = champion.map.segments if champion else ()
    top = int(per_customer.argmax())
    matched = _match(champion, features, labels, [i == top for i in positions]) if champion else {}
    names = name_segments(deviations, per_customer.tolist(), {i: previous[j].name for i, (j, _) in matched.items()})
    next_id = champion.map.next_id if champion else 1
    ids = {i: previous[j].segment_id for i, (j, _) in matched.items()}
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
            profile={str(name): None if np.isnan(mean) else float(mean) for name, mean in means.iloc[i].items()},
            deviation=deviations[i],
            overlap=matched[i][1] if i in matched else None,
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


def _match(
    champion: SegmentModel, features: pd.DataFrame, labels: NDArray[np.int64], insiders: list[bool]
) -> dict[int, tuple[int, float]]:
    """Return, for each segment that the champion has too, the champion's position and the overlap."""
    _check_usable(features, champion.map.features)
    old_labels = champion.pipeline.predict(features[list(champion.map.features)])
    old_insiders = [segment.name == INSIDERS for segment in champion.map.segments]
    return match_segments(old_labels, labels, old_insiders=old_insiders, new_insiders=insiders)


def _check_usable(features: pd.DataFrame, needed: tuple[str, ...]) -> None:
    missing = [name for name in dict.fromkeys(needed) if name not in features.columns]
    not_finite: dict[str, Any] = {
        name: int((~np.isfinite(features[name].to_numpy(dtype=np.float64))).sum())
        for name in dict.fromkeys(needed)
        if name not in missing
    }
    not_finite = {name: rows for name, rows in not_finite.items() if rows}
    if missing or not_finite:
        raise RefusedError(
            "the customer features cannot be segmented",
            where="customer_features",
            observed=f"missing columns: {missing or 'none'}; rows that are not finite numbers: {not_finite or 'none'}",
            allowed="every column present, and finite in every row",
            todo="build the features again with this version of the code",
        )


def _signed_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(values) * np.log1p(np.abs(values))


def _skewness(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the third standardised moment of each column; 0 for a constant column."""
    centred = values - values.mean(axis=0)
    deviation = values.std(axis=0)
    constant = deviation <= 1e-12 * np.maximum(1.0, np.abs(values).max(axis=0))
    return np.where(constant, 0.0, (centred**3).mean(axis=0) / np.where(constant, 1.0, deviation) ** 3)
