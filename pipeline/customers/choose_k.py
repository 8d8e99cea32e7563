"""How many segments: the curve over k, and the rule that picks one.

For each k from 2 to 12 four figures are measured on one seeded sample of customers:

    inertia         within-cluster sum of squares, in the scaled space
    silhouette      mean of (b - a) / max(a, b) over customers, with its standard error (Rousseeuw 1987)
    stability       mean adjusted Rand index between the fit and refits of the whole recipe on bootstrap resamples,
                    compared on the same rows (Ben-Hur, Elisseeff & Guyon 2002; Hennig 2007; von Luxburg 2010)
    smallest share  customers in the smallest cluster / all customers

The rule. Customers do not fall into islands: they are one cloud, and there the silhouette falls almost from the start.
Taken alone it answers "two: those who buy a lot, and the others", which nobody can act on. So each figure is
asked what it can answer:

1. The floors strike out every k whose clusters would not come back on other customers of the same shop
   (stability), or which holds a cluster too small for a campaign (smallest share).
2. The elbow of the inertia sets the lower end: below it, one more cluster still explains much. It is the point
   farthest below the chord from k = 1 to k = 12 (Satopää et al. 2011, "Kneedle").
3. From the elbow up, the silhouette decides. Where it is flat it cannot: of the k within one standard error of the
   best (Breiman et al. 1984) the most stable is taken, as the one that most surely comes back.
4. If the floors leave nothing from the elbow up, the largest admissible k below it is taken; if they leave nothing
   at all, there are no segments, and the error shows the curve.

On islands, which tests plant, elbow, silhouette and stability agree, and the rule finds their number.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score, silhouette_samples
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

SMALLEST_K, LARGEST_K = 2, 12
CURVE_ROWS = 20_000  # customers the curve is measured on, at most
SILHOUETTE_ROWS = 3_000  # the silhouette is quadratic in rows; its standard error is then about 0.003
RESAMPLES = 10


@dataclass(frozen=True)
class Floors:
    """What a number of segments must reach to be admissible.

    Attributes:
        stability: mean adjusted Rand index between bootstrap refits; 1 is "always the same segments", 0 chance.
        smallest_share: of all customers, in the smallest segment.
        customers: rows without which neither of the two means anything.
    """

    stability: float = 0.7
    smallest_share: float = 0.03
    customers: int = 100


@dataclass(frozen=True)
class CurvePoint:
    """The figures of one k; `refused` says why it is not admissible, and is empty when it is."""

    k: int
    inertia: float
    silhouette: float
    silhouette_error: float
    stability: float
    smallest_share: float
    refused: str = ""


@dataclass(frozen=True)
class Choice:
    """The chosen k, why, and the entire curve; `rows` is how many customers the curve was measured on."""

    k: int
    reason: str
    elbow: int
    curve: tuple[CurvePoint, ...]
    floors: Floors
    rows: int
    seed: int

    def to_record(self) -> dict[str, Any]:
        """JSON-able, for storing beside the model."""
        return asdict(self)


def choose_k(
    features: pd.DataFrame, recipe: Callable[[int, int], Pipeline], *, seed: int, floors: Floors | None = None
) -> Choice:
    """The number of clusters by the rule of the module's text.

    Args:
        features: one row a customer, just the columns the recipe takes.
        recipe: (k, seed) -> an unfitted Pipeline that ends in k-means.
        seed: for the sample, the resamples and the starts of k-means.
        floors: what a k must reach; `Floors()` when left out.

    Raises:
        RefusedError: too few customers, too few different ones, or no k is admissible.
    """
    floors = floors or Floors()
    _enough(features, floors)
    rows = sample(features, CURVE_ROWS, seed)
    draws = resamples(len(rows), seed)
    # One thread: several add up in the order they happen to finish, and the last bits with it.
    with threadpool_limits(1):
        curve = tuple(
            _measure(recipe(k, seed).fit(rows), rows, draws, floors, seed) for k in range(SMALLEST_K, LARGEST_K + 1)
        )
    scaled = recipe(SMALLEST_K, seed)[:-1].fit_transform(rows)
    whole = float(((scaled - scaled.mean(axis=0)) ** 2).sum())
    at = elbow([whole, *(point.inertia for point in curve)])
    k, reason = _decide(curve, at)
    return Choice(k, reason, at, curve, floors, len(rows), seed)


def elbow(inertias: Sequence[float]) -> int:
    """The k farthest below the chord of a falling curve; `inertias[0]` belongs to k = 1."""
    heights = np.asarray(inertias, dtype=float)
    falls = (heights - heights[-1]) / (heights[0] - heights[-1])
    return 1 + int(np.argmax(1 - np.linspace(0, 1, len(heights)) - falls))


def silhouette(scaled: NDArray[np.float64], labels: NDArray[np.int64], *, seed: int) -> tuple[float, float]:
    """Mean silhouette and its standard error on at most `SILHOUETTE_ROWS` rows; NaN when there is just one cluster."""
    chosen = _draw(len(scaled), SILHOUETTE_ROWS, seed)
    found = len(np.unique(labels[chosen]))
    if not 1 < found < len(chosen):
        return float("nan"), float("nan")
    values = silhouette_samples(scaled[chosen], labels[chosen])
    return float(values.mean()), float(values.std() / np.sqrt(len(values)))


def stability(fitted: Pipeline, rows: pd.DataFrame, draws: Sequence[NDArray[np.int64]]) -> float:
    """Mean adjusted Rand index, on `rows`, between a fitted Pipeline and its refits on resamples of them."""
    labels = fitted.predict(rows)
    refits = (clone(fitted).fit(rows.iloc[draw]) for draw in draws)
    return float(np.mean([adjusted_rand_score(labels, refit.predict(rows)) for refit in refits]))


def smallest_share(labels: NDArray[np.int64], k: int) -> float:
    """The share of the smallest of k clusters; one that nobody is in counts as 0."""
    return float(np.bincount(labels, minlength=k).min() / len(labels))


def resamples(rows: int, seed: int, times: int = RESAMPLES) -> list[NDArray[np.int64]]:
    """Bootstrap draws of row positions. The same ones serve every k, so that chance does not tell them apart."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, rows, rows) for _ in range(times)]


def sample(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """At most `rows` rows of a frame, in the order they came."""
    return frame if len(frame) <= rows else frame.iloc[_draw(len(frame), rows, seed)]


def _draw(available: int, wanted: int, seed: int) -> NDArray[np.int64]:
    if available <= wanted:
        return np.arange(available)
    return np.sort(np.random.default_rng(seed).choice(available, wanted, replace=False))


def _enough(features: pd.DataFrame, floors: Floors) -> None:
    if len(features) < floors.customers:
        raise RefusedError(
            "too few customers to segment",
            observed=f"{len(features):,} customers",
            allowed=f"{floors.customers:,} or more",
            todo="train on a later day or a longer window",
        )
    different = len(features.drop_duplicates())
    if different <= LARGEST_K:
        raise RefusedError(
            "the customers are too alike to segment",
            observed=f"{different:,} different rows among {len(features):,} customers",
            allowed=f"{LARGEST_K + 1} different rows or more",
            todo="look at the features: a source that stopped delivering makes everybody the same",
        )


def _measure(
    fitted: Pipeline, rows: pd.DataFrame, draws: Sequence[NDArray[np.int64]], floors: Floors, seed: int
) -> CurvePoint:
    kmeans = fitted[-1]
    k, labels = int(kmeans.n_clusters), fitted.predict(rows)
    mean, error = silhouette(fitted[:-1].transform(rows), labels, seed=seed)
    steady, share = stability(fitted, rows, draws), smallest_share(labels, k)
    refused = [
        f"{what} {value:.3f} is below {floor:g}"
        for what, value, floor in (
            ("stability", steady, floors.stability),
            ("smallest share", share, floors.smallest_share),
        )
        if not value >= floor
    ]
    return CurvePoint(k, float(kmeans.inertia_), mean, error, steady, share, "; ".join(refused))


def _decide(curve: Sequence[CurvePoint], at: int) -> tuple[int, str]:
    admissible = [point for point in curve if not point.refused]
    above = [point for point in admissible if point.k >= at]
    if above:
        best = max(above, key=lambda point: point.silhouette)
        alike = [point for point in above if point.silhouette >= best.silhouette - best.silhouette_error]
        chosen = max(alike, key=lambda point: point.stability)
        reason = (
            f"the elbow of the inertia is at {at}; from there up {_listed(above)} kept the floors, "
            f"and {best.k} has the best silhouette ({best.silhouette:.3f})"
        )
        if len(alike) > 1:
            reason += f"; {_listed(alike)} are within its standard error, and {chosen.k} is the most stable of them"
        return chosen.k, reason
    if admissible:
        kept = f"only {_listed(admissible)} kept the floors; the largest is taken"
        return admissible[-1].k, f"the elbow of the inertia is at {at}, but {kept}"
    raise RefusedError(
        "no number of segments is admissible",
        observed="; ".join(f"k={point.k}: {point.refused}" for point in curve),
        allowed="one k at least that keeps the floors of stability and of the smallest share",
        todo="train on more customers or a longer window, or lower a floor knowingly",
    )


def _listed(points: Sequence[CurvePoint]) -> str:
    return ", ".join(str(point.k) for point in points)
