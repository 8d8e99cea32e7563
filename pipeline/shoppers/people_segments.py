"""Segments of people by demographics: hierarchical clustering for their number, k-means on principal components.

The method is that of a published course (365 Data Science, Customer Analytics in Python). Where the course decides by
looking at a chart, there is a rule:

- The seven columns of `DEMOGRAPHICS` are standardised.
- Ward's hierarchical clustering gives the number of segments: the dendrogram is cut below the merge whose distance
  exceeds that of the merge before it the most.
- k-means is fitted in the space of the first principal components, as many as hold four fifths of the variance.
- A segment is named by the two columns in which it differs most from the average.

Ward's method needs the distances between all pairs of people, so it is applied to a sample if there are many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import dendrogram, linkage
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from pipeline.errors import RefusedError
from pipeline.shoppers.features import DEMOGRAPHICS
from pipeline.training.clustering import resamples, silhouette, smallest_share, stability, unique_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "people_segments"
SEGMENTS_FILE = "segments.json"
"""The file, stored with a registered model, that describes its segments."""
VARIANCE = 0.8
"""Fraction of the variance that the principal components hold."""
STARTS, REFIT_STARTS = 10, 3
"""k-means starts of the model, and of each refit that measures its stability."""
MIN_PEOPLE = 50
MIN_K, MAX_K = 2, 8
DENDROGRAM_ROWS = 2_000
"""People in the dendrogram, at most: memory grows with the square of their number."""
LEAVES = 30
"""Clusters at the bottom of the dendrogram that is shown."""
MIN_LOADING = 0.4
"""The absolute loading from which on a column is part of its component's name."""
RESAMPLES = 10
SILHOUETTE_ROWS = 5_000
"""People that the silhouette is measured on, at most."""

WORDS: dict[str, tuple[str, str]] = {
    "sex": ("men", "women"),
    "marital_status": ("single", "not single"),
    "age": ("younger", "older"),
    "education": ("less schooled", "more schooled"),
    "income": ("lower income", "higher income"),
    "occupation": ("lower position", "higher position"),
    "settlement_size": ("smaller places", "larger places"),
}
"""Words for below and above the average of a column. In the course's coding, sex 1 is female and marital status 1 is
not single; the other columns increase with what their name says."""


@dataclass(frozen=True)
class Component:
    """A principal component: a name from its largest loadings, its fraction of the variance, its loading by column."""

    name: str
    variance: float
    loadings: dict[str, float]


@dataclass(frozen=True)
class PeopleSegment:
    """A segment: its position, name, number of people, their fraction of all people, and the mean of each column."""

    segment: int
    name: str
    people: int
    share: float
    means: dict[str, float]


@dataclass(frozen=True)
class Dendrogram:
    """The top of the tree as lines: four points `x` and `y` per merge, and the distance at which it is cut."""

    x: list[list[float]]
    y: list[list[float]]
    cut: float


@dataclass(frozen=True)
class Segmentation:
    """The result of a training.

    Attributes:
        model: a Pipeline of scaler, principal components and k-means; it predicts positions in `segments`.
        segments: in the order of the model's cluster numbers.
        components: in descending order of variance.
        dendrogram: of Ward's clustering.
        silhouettes: number of segments -> mean silhouette in the space of the components.
    """

    model: Pipeline
    segments: tuple[PeopleSegment, ...]
    components: tuple[Component, ...]
    dendrogram: Dendrogram
    silhouettes: dict[int, float]

    def to_record(self) -> dict[str, Any]:
        """Return everything except the model, as JSON can hold it."""
        return {
            "segments": [asdict(segment) for segment in self.segments],
            "components": [asdict(component) for component in self.components],
            "dendrogram": asdict(self.dendrogram),
            "silhouettes": {str(k): value for k, value in self.silhouettes.items()},
        }


def train(people: pd.DataFrame, *, seed: int, k: int | None = None) -> Segmentation:
    """Segment people.

    Args:
        people: one row per person: person and DEMOGRAPHICS; rows with missing values are left out.
        seed: of the starts of k-means.
        k: number of segments; that of the dendrogram if left out.

    Raises:
        RefusedError: there are too few people, or columns are missing or never vary.
    """
    values = _values(people)
    sample = np.unique(np.linspace(0, len(values) - 1, min(DENDROGRAM_ROWS, len(values))).astype(int))
    tree = linkage(StandardScaler().fit_transform(values)[sample], "ward")
    k_of_tree, cut = _cut(tree)
    k = k or k_of_tree
    models = {n: _pipeline(n, seed).fit(values) for n in sorted({k, *range(MIN_K, min(MAX_K, len(values)) + 1)})}
    model = models[k]
    shape = dendrogram(tree, LEAVES, "lastp", no_plot=True)
    return Segmentation(
        model,
        _segments(values, model.predict(values)),
        _components(model["components"]),
        Dendrogram(shape["icoord"], shape["dcoord"], cut),
        {n: _silhouette(fitted, values) for n, fitted in models.items()},
    )


def measure(model: Pipeline, people: pd.DataFrame, seed: int) -> dict[str, float]:
    """Measure a fitted segmentation.

    Args:
        model: the Pipeline of a `Segmentation`.
        people: one row per person: person and DEMOGRAPHICS; rows with missing values are left out.
        seed: of the resamples and of the refits.

    Returns:
        silhouette: mean, in the space of the model's components, between -1 and 1.
        stability: mean adjusted Rand index with refits on bootstrap resamples of people; 1 is always the same segments.
        smallest_share: fraction of the people in the smallest segment.
    """
    values = _values(people)
    k = int(model["kmeans"].n_clusters)
    unfitted = _pipeline(k, seed).set_params(
        components=PCA(model["components"].n_components_), kmeans__n_init=REFIT_STARTS
    )
    return {
        "silhouette": _silhouette(model, values),
        "stability": stability(model, values, resamples(len(values), seed, RESAMPLES), unfitted),
        "smallest_share": smallest_share(model.predict(values), k),
    }


def assign(model: Pipeline, segments: Sequence[PeopleSegment], people: pd.DataFrame) -> pd.DataFrame:
    """Assign people to segments.

    Args:
        model: the Pipeline of a `Segmentation`.
        segments: its segments.
        people: one row per person: person and DEMOGRAPHICS; rows with missing values are left out.

    Returns:
        One row per person: person, segment, segment_name, and distance (to the segment's centre, in the space of the
        components).
    """
    rows = people.dropna(subset=list(DEMOGRAPHICS)).reset_index(drop=True)
    values = rows[list(DEMOGRAPHICS)].astype(np.float64)
    distances = model.transform(values)
    labels = distances.argmin(axis=1)
    names = np.array([segment.name for segment in segments], dtype=object)
    return pd.DataFrame(
        {
            "person": rows["person"].astype("str"),
            "segment": labels.astype(np.int64),
            "segment_name": pd.Series(names[labels]).astype("str"),
            "distance": distances.min(axis=1),
        }
    )


def _pipeline(k: int, seed: int) -> Pipeline:
    return Pipeline(
        [
            ("scale", StandardScaler()),
            ("components", PCA(VARIANCE, svd_solver="full")),
            ("kmeans", KMeans(k, n_init=STARTS, random_state=seed)),
        ]
    )


def _values(people: pd.DataFrame) -> pd.DataFrame:
    """Return the demographics of the people without missing values, in the order of `person`, or refuse them."""
    missing = [name for name in DEMOGRAPHICS if name not in people]
    rows = people if missing else people.dropna(subset=list(DEMOGRAPHICS))
    constant = [name for name in DEMOGRAPHICS if name not in missing and rows[name].nunique() < 2]
    if missing or constant or len(rows) < MIN_PEOPLE:
        raise RefusedError(
            "These people cannot be segmented",
            where="people",
            observed=f"{len(rows)} people; missing columns: {missing or 'none'}; constant: {constant or 'none'}",
            allowed=f"{MIN_PEOPLE} people or more, and every column present and varying",
            todo="ingest more people, or all of their columns",
        )
    return rows.sort_values("person", ignore_index=True)[list(DEMOGRAPHICS)].astype(np.float64)


def _cut(tree: NDArray[np.float64]) -> tuple[int, float]:
    """Return the number of clusters below the largest increase of the merging distance, and the distance to cut at."""
    heights = tree[-MAX_K:, 2]
    jump = int(np.diff(heights).argmax())
    return len(heights) - jump, float(heights[jump : jump + 2].mean())


def _silhouette(model: Pipeline, values: pd.DataFrame) -> float:
    # The sample has a seed of its own, so that all trainings are measured on the same people.
    rows = check_random_state(0).permutation(len(values))[:SILHOUETTE_ROWS]
    return silhouette(model[:-1].transform(values), model.predict(values), rows)[0]


def _components(fitted: PCA) -> tuple[Component, ...]:
    components = []
    for loadings, variance in zip(fitted.components_, fitted.explained_variance_ratio_, strict=True):
        order = np.argsort(-np.abs(loadings), kind="stable")
        named = [at for at in order if abs(loadings[at]) >= MIN_LOADING] or [order[0]]
        # The sign of a component is arbitrary: the largest loading is made positive.
        sign = np.sign(loadings[order[0]])
        name = ", ".join(WORDS[DEMOGRAPHICS[at]][int(sign * loadings[at] > 0)] for at in named)
        values = (sign * loadings).tolist()
        components.append(Component(name, float(variance), dict(zip(DEMOGRAPHICS, values, strict=True))))
    return tuple(components)


def _segments(values: pd.DataFrame, labels: NDArray[np.int64]) -> tuple[PeopleSegment, ...]:
    scaled = (values - values.mean()) / values.std(ddof=0)
    segments: list[PeopleSegment] = []
    for segment in range(int(labels.max()) + 1):
        members = labels == segment
        profile = scaled[members].mean()
        order = profile.abs().sort_values(ascending=False, kind="stable").index
        words = [WORDS[column][int(profile[column] > 0)] for column in order]
        # Two words tell most segments apart; a segment whose name is taken gets more.
        candidates = (", ".join(words[:n]) for n in range(2, len(words) + 1))
        name = unique_name(candidates, [other.name for other in segments])
        means = {str(column): float(value) for column, value in values[members].mean().items()}
        segments.append(PeopleSegment(segment, name, int(members.sum()), float(members.mean()), means))
    return tuple(segments)
