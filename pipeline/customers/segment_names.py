"""Names of segments, and the matching of new segments with those of the model in use.

Names
    A profile is a segment's centre in the scaled space: for each feature, by how many standard deviations its customers
    differ from the average customer. The segment with the highest mean revenue per customer is always `insiders`. Then
    the names of `ARCHETYPES` are given in their order. An archetype fits a segment if each of its features deviates by
    at least `MIN_DEVIATION` in the direction that the archetype states; of the unnamed segments that it fits, the one
    that deviates most in the mean gets the name. The other segments are named by their deviating features, the largest
    deviation first and as many as make the name unique ("lapsed high-spend customers"), or "typical customers".

Identity
    Both models assign the same customers. Segments are paired so that the sum of their overlaps (Jaccard index:
    customers in both / customers in either) is highest (Hungarian method: Kuhn 1955); a pair below `MIN_OVERLAP` is
    not matched. Old and new insiders are paired first if they reach `MIN_OVERLAP`, even if most of the old ones are now
    in another segment, so that a split does not give the best customers a new identity. The overlap of customers was
    preferred to the distance of centres because it does not depend on the features or the scaling of either model, and
    because it is what "the same segment" means to the people who use the lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.training.clustering import unique_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

Profile = Mapping[str, float]

INSIDERS = "insiders"
MIN_DEVIATION = 0.25
"""Standard deviations from the average customer from which on a feature describes a segment."""
MIN_OVERLAP = 1 / 3
"""The Jaccard index of two segments of equal size that share half of their customers."""

ARCHETYPES: Mapping[str, Profile] = {
    "newcomers": {"purchase_frequency": 1, "recency_days": -1, "invoices": -1},
    "regulars": {"invoices": 1, "recency_days": -1},
    "returners": {"cancellation_rate": 1},
    "lapsed": {"recency_days": 1, "revenue": -1},
    "bulk buyers": {"median_basket_units": 1},
    "small baskets": {"median_basket_units": -1},
    "big spenders": {"revenue": 1},
    "occasional": {"invoices": -1},
}
"""For each name, the features that deviate: 1 is above the average customer, -1 below. The most specific come first."""

TRAITS: Mapping[tuple[str, int], str] = {
    ("recency_days", 1): "lapsed",
    ("recency_days", -1): "recent",
    ("invoices", 1): "frequent",
    ("invoices", -1): "infrequent",
    ("revenue", 1): "high-spend",
    ("revenue", -1): "low-spend",
    ("median_basket_units", 1): "large-basket",
    ("median_basket_units", -1): "small-basket",
    ("cancellation_rate", 1): "returning",
    ("purchase_frequency", 1): "quick",
}
"""The word for each deviation above (1) or below (-1) the average customer. A low cancellation rate and a low purchase
frequency are common to many segments, so they have no word."""


def name_segments(
    profiles: Sequence[Profile], revenue_per_customer: Sequence[float], kept: Mapping[int, str] | None = None
) -> list[str]:
    """Return a unique name for each segment, in the order of the profiles.

    Args:
        profiles: each segment's centre: feature -> standard deviations from the average customer.
        revenue_per_customer: mean revenue of each segment's customers; the segment with the highest is the insiders.
        kept: position -> name of the segments that match earlier ones. They keep their name, except that `insiders`
            follows the revenue: a segment that no longer has the highest gets a new name.
    """
    top = int(np.argmax(revenue_per_customer))
    names = {position: name for position, name in (kept or {}).items() if name != INSIDERS}
    names[top] = INSIDERS
    for name, archetype in ARCHETYPES.items():
        deviations = {
            position: _mean_deviation(profile, archetype)
            for position, profile in enumerate(profiles)
            if position not in names and name not in names.values()
        }
        fitting = {position: deviation for position, deviation in deviations.items() if deviation is not None}
        if fitting:
            names[max(fitting, key=lambda position: fitting[position])] = name
    for position, profile in enumerate(profiles):
        if position not in names:
            names[position] = _name_by_traits(profile, set(names.values()))
    return [names[position] for position in range(len(profiles))]


def match_segments(
    old: NDArray[np.int64], new: NDArray[np.int64], *, old_insiders: Sequence[bool], new_insiders: Sequence[bool]
) -> dict[int, tuple[int, float]]:
    """Match the segments of a new model with those of an old one.

    Args:
        old: (customers,), the position of the old model's segment.
        new: (customers,), the position of the new model's segment, in the same order.
        old_insiders: for each position of the old model, whether it is the insiders; exactly one is.
        new_insiders: the same for the new model.

    Returns:
        New position -> (old position, overlap between 0 and 1); segments without a match are left out.
    """
    both = np.zeros((len(new_insiders), len(old_insiders)))
    np.add.at(both, (new, old), 1)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    overlap = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    weight = overlap.copy()
    # A weight above the sum of all other overlaps makes sure that this pair is chosen.
    weight[np.outer(new_insiders, old_insiders) & (overlap >= MIN_OVERLAP)] = 1 + min(overlap.shape)
    pairs = zip(*linear_sum_assignment(weight, maximize=True), strict=True)
    return {int(i): (int(j), float(overlap[i, j])) for i, j in pairs if overlap[i, j] >= MIN_OVERLAP}


def _mean_deviation(profile: Profile, archetype: Profile) -> float | None:
    """Return the mean deviation of a profile in an archetype's directions; None if the archetype does not fit."""
    deviations = [direction * profile.get(feature, 0.0) for feature, direction in archetype.items()]
    return sum(deviations) / len(deviations) if min(deviations) >= MIN_DEVIATION else None


def _name_by_traits(profile: Profile, taken: set[str]) -> str:
    deviating = sorted((-abs(value), feature) for feature, value in profile.items() if abs(value) >= MIN_DEVIATION)
    traits = ((feature, 1 if profile[feature] > 0 else -1) for _, feature in deviating)
    words = [TRAITS[trait] for trait in traits if trait in TRAITS] or ["typical"]
    return unique_name((f"{' '.join(words[:n])} customers" for n in range(1, len(words) + 1)), taken)
