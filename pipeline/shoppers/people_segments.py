"""Segments of people by who they are: hierarchical clustering for their number, k-means on principal components.

As the course does it (365 Data Science, Customer Analytics in Python), with what it leaves to the eye made a rule:

- the seven columns of `DEMOGRAPHICS` are standardised;
- Ward's hierarchical clustering of them says how many segments there are: the dendrogram is cut where the next merge
  costs the most more than the one before it;
- the first principal components that hold four fifths of the variance give k-means its space;
- a segment is called by the two columns in which it is furthest from the average.

Ward's method needs all distances between people, so it looks at a sample of them where they are many.
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
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.errors import RefusedError
from pipeline.shoppers.features import DEMOGRAPHICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "people_segments"
VARIANCE = 0.8
STARTS = 10
MIN_PEOPLE = 50
SMALLEST_K, LARGEST_K = 2, 8
CLUSTERED = 2_000
"""People whose dendrogram is made; distances between more would fill the memory."""
LEAVES = 30
"""Clusters at the bottom of the dendrogram that is shown."""
TELLING = 0.4
"""A loading from this size on belongs to the name of its component."""
RESAMPLES = 10

WORDS: dict[str, tuple[str, str]] = {
    "sex": ("men", "women"),
    "marital_status": ("single", "not single"),
    "age": ("younger", "older"),
    "education": ("less schooled", "more schooled"),
    "income": ("lower income", "higher income"),
    "occupation": ("lower position", "higher position"),
    "settlement_size": ("smaller places", "larger places"),
}
"""What is below the average of a column, and what above it; 365's coding: sex 1 is female, marital status 1 is not
single (their legend), the others grow with what they name."""


@dataclass(frozen=True)
class Component:
    """A principal component: its loadings by column, the variance it holds, and a name from its largest loadings."""

    name: str
    variance: float
    loadings: dict[str, float]


@dataclass(frozen=True)
class PeopleSegment:
    """A segment: its share, and the mean of each column."""

    segment: int
    name: str
    people: int
    share: float
    means: dict[str, float]


@dataclass(frozen=True)
class Dendrogram:
    """The top of the tree, as lines to draw: `x` and `y` of each merge, four points each, and where it is cut."""

    x: list[list[float]]
    y: list[list[float]]
    cut: float


@dataclass(frozen=True)
class Segmentation:
    """What a training found.

    Attributes:
        model: standardise, components, k-means; predicts positions in `segments`.
        silhouettes: by number of segments, in the space of the components.
    """

    model: Pipeline
    segments: tuple[PeopleSegment, ...]
    components: tuple[Component, ...]
    dendrogram: Dendrogram
    silhouettes: dict[int, float]

    def to_record(self) -> dict[str, Any]:
        """All but the model, as JSON can hold it."""
        return {
            "segments": [asdict(segment) for segment in self.segments],
            "components": [asdict(component) for component in self.components],
            "dendrogram": asdict(self.dendrogram),
            "silhouettes": {str(k): value for k, value in self.silhouettes.items()},
        }


def train(people: pd.DataFrame, *, seed: int, k: int | None = None) -> Segmentation:
    """Segment people.

    Args:
        people: person and DEMOGRAPHICS, none of them missing.
        k: how many segments; missing: as many as the dendrogram says.

    Raises:
        RefusedError: with too few people, or columns that are missing or never vary.
    """
    rows = _usable(people).sort_values("person", ignore_index=True)
    values = rows[list(DEMOGRAPHICS)].astype(np.float64)
    at = np.unique(np.linspace(0, len(values) - 1, min(CLUSTERED, len(values))).astype(int))
    tree = linkage(StandardScaler().fit_transform(values)[at], "ward")
    found, cut = _cut(tree)
    wanted = k or found
    models = {
        n: _pipeline(n, seed).fit(values) for n in sorted({wanted, *range(SMALLEST_K, min(LARGEST_K, len(rows)) + 1)})
    }
    model = models[wanted]
    shape = dendrogram(tree, LEAVES, "lastp", no_plot=True)
    return Segmentation(
        model,
        _segments(values, model.predict(values)),
        _components(model["components"]),
        Dendrogram(shape["icoord"], shape["dcoord"], cut),
        {n: _silhouette(fitted, values) for n, fitted in models.items()},
    )


def measure(model: Pipeline, people: pd.DataFrame, seed: int) -> dict[str, float]:
    """How good a segmentation is.

    Returns:
        silhouette, in the space of the components; stability: mean adjusted Rand index between it and fits to
        resampled people; smallest_share: of people in the smallest segment.
    """
    values = _usable(people).sort_values("person", ignore_index=True)[list(DEMOGRAPHICS)].astype(np.float64)
    labels, k = model.predict(values), int(model["kmeans"].n_clusters)
    rng = np.random.default_rng(seed)
    agreement = []
    for _ in range(RESAMPLES):
        drawn = values.iloc[rng.integers(0, len(values), len(values))]
        again = _pipeline(k, seed).set_params(components=PCA(model["components"].n_components_), kmeans__n_init=3)
        agreement.append(adjusted_rand_score(labels, again.fit(drawn).predict(values)))
    counts = np.bincount(labels, minlength=k)
    return {
        "silhouette": _silhouette(model, values),
        "stability": float(np.mean(agreement)),
        "smallest_share": float(counts.min() / counts.sum()),
    }


def assign(model: Pipeline, segments: Sequence[PeopleSegment], people: pd.DataFrame) -> pd.DataFrame:
    """The segment of each person: person, segment, segment_name, and the distance to its centre."""
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


def _usable(people: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in DEMOGRAPHICS if name not in people]
    rows = people if missing else people.dropna(subset=list(DEMOGRAPHICS))
    flat = [name for name in DEMOGRAPHICS if name not in missing and rows[name].nunique() < 2]
    if missing or flat or len(rows) < MIN_PEOPLE:
        raise RefusedError(
            "These people cannot be segmented",
            where="people",
            observed=f"{len(rows)} people; missing columns: {missing or 'none'}; the same for all: {flat or 'none'}",
            allowed=f"{MIN_PEOPLE} people or more, and every column there and varying",
            todo="bring in more people, or all their columns",
        )
    return rows


def _cut(tree: NDArray[np.float64]) -> tuple[int, float]:
    """How many clusters there are before the merge that costs the most more than the last, and where to cut."""
    heights = tree[-LARGEST_K:, 2]
    jump = int(np.diff(heights).argmax())
    return len(heights) - jump, float(heights[jump : jump + 2].mean())


def _silhouette(model: Pipeline, values: pd.DataFrame) -> float:
    space, labels = model[:-1].transform(values), model.predict(values)
    return float(silhouette_score(space, labels, sample_size=min(len(space), 5_000), random_state=0))


def _components(fitted: PCA) -> tuple[Component, ...]:
    found = []
    for loadings, variance in zip(fitted.components_, fitted.explained_variance_ratio_, strict=True):
        order = np.argsort(-np.abs(loadings), kind="stable")
        telling = [at for at in order if abs(loadings[at]) >= TELLING] or [order[0]]
        # A component and its mirror image say the same: the largest loading is made positive.
        sign = np.sign(loadings[order[0]])
        name = ", ".join(WORDS[DEMOGRAPHICS[at]][int(sign * loadings[at] > 0)] for at in telling)
        values = (sign * loadings).tolist()
        found.append(Component(name, float(variance), dict(zip(DEMOGRAPHICS, values, strict=True))))
    return tuple(found)


def _segments(values: pd.DataFrame, labels: NDArray[np.int64]) -> tuple[PeopleSegment, ...]:
    away = (values - values.mean()) / values.std(ddof=0)
    names: list[str] = []
    found = []
    for segment in range(int(labels.max()) + 1):
        mine = labels == segment
        profile = away[mine].mean()
        order = profile.abs().sort_values(ascending=False, kind="stable").index
        words = [WORDS[name][int(profile[name] > 0)] for name in order]
        # Two words tell most segments apart; those that they do not are given more.
        count = next(n for n in range(2, len(words) + 1) if ", ".join(words[:n]) not in names or n == len(words))
        name = ", ".join(words[:count])
        names.append(name)
        means = {str(column): float(value) for column, value in values[mine].mean().items()}
        found.append(PeopleSegment(segment, name, int(mine.sum()), float(mine.mean()), means))
    return tuple(found)
