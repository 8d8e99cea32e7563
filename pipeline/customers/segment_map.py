"""The fitted segments as plain numbers: stored with the model, and used to assign customers in the query engine.

A `SegmentMap` holds all that the assignment needs, so scoring a day reads one small JSON file and runs one expression:
no model is loaded, and no customer passes through Python.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import ibis

from pipeline.customers.features import FEATURE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import ibis.expr.types as ir

SEGMENTS_FILE = "segments.json"
"""The file, stored with a registered model, that holds its `SegmentMap`."""


@dataclass(frozen=True)
class Segment:
    """One segment as it was at training.

    Attributes:
        segment_id: stays the same from one training to the next, and is never given to another segment.
        name: plain English, unique among the segments of a model.
        customers, share: number of customers, and their fraction of all customers.
        revenue, revenue_share: their revenue in the window (money), and its fraction of all customers' revenue (0 if
            that is not positive).
        revenue_per_customer: revenue / customers (money).
        profile: mean of each feature, in the feature's unit; None if no customer has a value.
        deviation: by feature, how many standard deviations the centre is from the average customer.
        overlap: Jaccard index with the earlier segment whose identity this one keeps; None for a new segment.
    """

    segment_id: int
    name: str
    customers: int
    share: float
    revenue: float
    revenue_share: float
    revenue_per_customer: float
    profile: dict[str, float | None]
    deviation: dict[str, float]
    overlap: float | None = None


@dataclass(frozen=True)
class SegmentMap:
    """The numbers of a fitted segmentation.

    Attributes:
        features: (features,), names of the columns.
        logged: (features,), whether a column x is replaced by sign(x) * log(1 + |x|).
        means, scales: (features,), a column is then replaced by (x - mean) / scale.
        centres: (segments, features), one point per segment in that scaled space.
        segments: (segments,), in the order of the model's cluster numbers.
        next_id: the id of the next new segment; no segment has ever had it.
    """

    features: tuple[str, ...]
    logged: tuple[bool, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    segments: tuple[Segment, ...]
    next_id: int

    def to_record(self) -> dict[str, Any]:
        """Return a record that JSON can hold, and that `from_record` turns into an equal map, bit for bit."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SegmentMap:
        """Return the map of a record made by `to_record`."""
        rest = dict(record)
        centres = tuple(tuple(centre) for centre in rest.pop("centres"))
        segments = tuple(Segment(**segment) for segment in rest.pop("segments"))
        next_id = rest.pop("next_id")
        return cls(
            centres=centres, segments=segments, next_id=next_id, **{key: tuple(value) for key, value in rest.items()}
        )


def assign(features: ir.Table, to: SegmentMap) -> ir.Table:
    """Assign each customer to the segment with the nearest centre.

    The result equals the Pipeline's own predict, except for customers whose two nearest centres are equally far up to
    rounding: here the first of equal centres wins.

    Args:
        features: one row per customer: customer_id, as_of and the map's features.
        to: the fitted segments.

    Returns:
        An expression with customer_id, as_of, segment (int64), segment_name (str), distance and next_distance (float64,
        in the scaled space: to the own centre and to the nearest other one). A customer with a missing feature has a
        missing segment.
    """
    positions = range(len(to.segments))
    scaled = features.select(
        "customer_id", "as_of", **{f"z{i}": _scaled(features, to, i) for i in range(len(to.features))}
    )
    squares = scaled.select(
        "customer_id", "as_of", **{f"d{j}": _squared_distance(scaled, to.centres[j]) for j in positions}
    )
    distances = [squares[f"d{j}"] for j in positions]
    nearest = squares.mutate(
        position=ibis.cases(*((distance == ibis.least(*distances), j) for j, distance in enumerate(distances)))
    )
    others = [ibis.ifelse(nearest.position == j, float("inf"), nearest[f"d{j}"]) for j in positions]
    return nearest.select(
        "customer_id",
        "as_of",
        segment=_by_position(nearest, to, lambda segment: ibis.literal(segment.segment_id, "int64")),
        segment_name=_by_position(nearest, to, lambda segment: ibis.literal(segment.name)),
        distance=ibis.least(*(nearest[f"d{j}"] for j in positions)).sqrt(),
        next_distance=ibis.least(*others).sqrt(),
    )


def profile(assigned: ir.Table, features: Sequence[str] = FEATURE_COLUMNS) -> ir.Table:
    """Describe the segments as they are now, for the report.

    Args:
        assigned: one row per customer: segment, segment_name, revenue and the features.
        features: columns to take the mean of.

    Returns:
        One row per segment, the one with the highest revenue per customer first: segment, segment_name, customers,
        share, revenue, revenue_share, revenue_per_customer, and mean_<feature> for each feature. Shares are fractions;
        revenue_share is missing if the revenue of all customers is 0.
    """
    groups = assigned.group_by("segment", "segment_name").agg(
        customers=assigned.count(),
        revenue=assigned.revenue.sum(),
        **{f"mean_{feature}": assigned[feature].mean() for feature in features},
    )
    shares = groups.mutate(
        share=groups.customers / groups.customers.sum().over(),
        revenue_share=groups.revenue / groups.revenue.sum().over().nullif(0),
        revenue_per_customer=groups.revenue / groups.customers,
    )
    first = ("segment", "segment_name", "customers", "share", "revenue", "revenue_share", "revenue_per_customer")
    return shares.select(*first, *(f"mean_{feature}" for feature in features)).order_by(
        ibis.desc("revenue_per_customer"), "segment"
    )


def _scaled(features: ir.Table, to: SegmentMap, i: int) -> ir.NumericValue:
    value = features[to.features[i]]
    if to.logged[i]:
        value = value.sign() * (value.abs() + 1).log()
    return (value - to.means[i]) / to.scales[i]


def _squared_distance(scaled: ir.Table, centre: Sequence[float]) -> ir.NumericValue:
    # A product, not a power: the engine recognises the common factor and computes the difference once.
    differences = [scaled[f"z{i}"] - coordinate for i, coordinate in enumerate(centre)]
    return reduce(add, (difference * difference for difference in differences))


def _by_position(table: ir.Table, to: SegmentMap, value: Callable[[Segment], ir.Scalar]) -> ir.Value:
    return ibis.cases(*((table.position == j, value(segment)) for j, segment in enumerate(to.segments)))
