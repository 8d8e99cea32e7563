"""What a segment is called, and which segment of the last training it is.

Names
    A profile is a segment's centre in the scaled space: for each feature, how many standard deviations its customers
    are from the average customer. `insiders` is the segment with the highest mean revenue a customer, always. Then
    the names of `ARCHETYPES` are given out in their order: each goes to the unnamed segment that it fits best among
    those it is true of, i.e. where every feature it speaks of deviates by `CLEAR` or more to the side it says. What is
    left is called by its clear traits, the clearest first and as many as it takes to be unique ("lapsed high-spend
    customers"), or "typical customers" if it has none.

Identity
    Both models sort the same customers; segments are paired so that the sum of their overlaps (Jaccard: customers in
    both / customers in either) is highest (Hungarian method: Kuhn 1955). A pair below `SAME` is no pair. Insiders are a
    role: if old and new ones reach `SAME` they are paired first, even where the larger part of the old ones went to
    another segment, so that a split does not give the best customers a new identity. Overlap of
    customers was preferred to distance of centres: it does not depend on the features or the scaling of either model,
    and it is what "the same segment" means to those who work with the lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

Profile = Mapping[str, float]

INSIDERS = "insiders"
CLEAR = 0.25  # standard deviations from the average customer
SAME = 1 / 3  # of two segments of equal size, half the customers are in both

# What each name says of a segment: +1 above the average customer, -1 below. The telling ones come first.
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

# The words for what is left: above (+1) or below (-1) the average customer. That nothing is brought back, or that
# purchases are few for the time, tells nobody apart, so there is no word for it.
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


def name_segments(
    profiles: Sequence[Profile], revenue_per_customer: Sequence[float], kept: Mapping[int, str] | None = None
) -> list[str]:
    """A unique name for each segment.

    Args:
        profiles: each segment's centre, feature -> standard deviations from the average customer.
        revenue_per_customer: mean revenue of each segment's customers; the highest are the insiders.
        kept: position -> name, for segments that were matched to earlier ones. They keep their name, but `insiders`
            goes where the revenue is: a segment that lost it is named anew.
    """
    top = int(np.argmax(revenue_per_customer))
    names = {position: name for position, name in (kept or {}).items() if name != INSIDERS}
    names[top] = INSIDERS
    for name, says in ARCHETYPES.items():
        fits = {
            position: _fit(profile, says)
            for position, profile in enumerate(profiles)
            if position not in names and name not in names.values()
        }
        true = {position: fit for position, fit in fits.items() if fit is not None}
        if true:
            names[max(true, key=lambda position: true[position])] = name
    for position, profile in enumerate(profiles):
        if position not in names:
            names[position] = _described(profile, set(names.values()))
    return [names[position] for position in range(len(profiles))]


def match_segments(
    old: NDArray[np.int64], new: NDArray[np.int64], *, old_insiders: Sequence[bool], new_insiders: Sequence[bool]
) -> dict[int, tuple[int, float]]:
    """Which new segment is which old one: new position -> (old position, overlap). The unmatched are left out.

    Args:
        old: for each customer, the position of the old model's segment.
        new: for the same customers in the same order, the position of the new model's.
        old_insiders: for each position of the old model, whether that segment is the insiders; one is.
        new_insiders: the same of the new model.
    """
    both = np.zeros((len(new_insiders), len(old_insiders)))
    np.add.at(both, (new, old), 1)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    overlap = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    weight = overlap.copy()
    # More than all other pairs together can be worth.
    weight[np.outer(new_insiders, old_insiders) & (overlap >= SAME)] = 1 + min(overlap.shape)
    pairs = zip(*linear_sum_assignment(weight, maximize=True), strict=True)
    return {int(i): (int(j), float(overlap[i, j])) for i, j in pairs if overlap[i, j] >= SAME}


def _fit(profile: Profile, says: Profile) -> float | None:
    """How far, in the mean, a profile deviates to the sides a name says; None where it is not true of it."""
    deviations = [side * profile.get(feature, 0.0) for feature, side in says.items()]
    return sum(deviations) / len(deviations) if min(deviations) >= CLEAR else None


def _described(profile: Profile, taken: set[str]) -> str:
    clear = sorted((-abs(value), feature) for feature, value in profile.items() if abs(value) >= CLEAR)
    traits = ((feature, 1 if profile[feature] > 0 else -1) for _, feature in clear)
    words = [TRAITS[trait] for trait in traits if trait in TRAITS] or ["typical"]
    names = [f"{' '.join(words[:n])} customers" for n in range(1, len(words) + 1)]
    names += [f"{names[-1]} {n}" for n in range(2, len(taken) + 3)]
    return next(name for name in names if name not in taken)
