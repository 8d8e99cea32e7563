"""Two published segmentations of UCI Online Retail, beside the same protocols in the study.

Both quote the silhouette inside the space in which they cluster, so the study does too, next to that of the same
clusters in the plain features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.customers.study.clusterings import KMEANS, Clustering
from pipeline.customers.study.spaces import COMPONENTS, LEAVES

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Compared:
    """A protocol: the published silhouette, and what the study measured; None if its space was left out."""

    protocol: str
    published: float
    ours: Clustering | None

    @property
    def verdict(self) -> str:
        """Whether the published figure was reached."""
        if self.ours is None:
            return "left out"
        return "reached" if self.ours.silhouette >= self.published else "missed"


PUBLISHED = (
    ("15 features, principal components to 80 % of the variance, k-means with k = 4", 0.2315, COMPONENTS, 4),
    ("leaves of a random forest, UMAP, k-means with k = 10", 0.571, LEAVES, 10),
)
"""Protocol, best published silhouette, the space and the number of clusters."""


def compared(clusterings: Sequence[Clustering]) -> list[Compared]:
    """Return each protocol with the study's own figures."""
    found = {(one.space, one.algorithm, one.k): one for one in clusterings}
    return [Compared(protocol, published, found.get((space, KMEANS, k))) for protocol, published, space, k in PUBLISHED]
