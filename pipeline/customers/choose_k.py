"""How many segments: a curve over k, and the rule that picks one point of it.

For each k from 2 to 12 four figures are measured on one seeded sample of customers:

    inertia         within-cluster sum of squares, in the scaled space
    silhouette      mean over customers, with its standard error (Rousseeuw 1987)
    stability       mean adjusted Rand index between the fit and refits on bootstrap resamples
                    (Ben-Hur, Elisseeff & Guyon 2002; Hennig 2007; von Luxburg 2010)
    smallest share  customers in the smallest cluster / all customers

The rule. Customers do not form well separated groups, they form one cloud, and in a cloud the silhouette falls almost
from the start: used alone it answers "two: those who buy a lot, and the others", which is no help to marketing. So each
figure decides only what it can decide:

1. The floors exclude every k whose clusters would not be found again on other customers of the same shop (stability),
   or which has a cluster too small for a campaign (smallest share).
2. The elbow of the inertia is the lower end: below it, one more cluster still explains much. It is the point farthest
   below the chord from k = 1 to k = 12 (Satopää et al. 2011, "Kneedle").
3. From the elbow up, k whose stability reaches `STEADY` go before the others; if none does, all admissible ones count.
4. Of these the silhouette decides. Among the k within one standard error of the best it cannot decide, and the
   smallest is taken (the "one standard error rule", Breiman et al. 1984).
5. The number of segments in use stays unless another is clearly better: it must still be admissible, as steady as rule
   3 asks, and its silhouette at most two standard errors below the best. People have learned their segments, and a
   number that changes with each training describes chance.
6. If the floors exclude everything from the elbow up, the largest admissible k below it is taken. If they exclude
   every k, training is refused, and the error shows the curve.

On well separated groups, which the tests plant, elbow, silhouette and stability agree, and the rule finds their number.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.errors import RefusedError
from pipeline.logs import log_each
from pipeline.reports.labels import metric_of
from pipeline.reports.phrasing import number
from pipeline.training.clustering import resamples, sample_positions, silhouette, smallest_share, stability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)

MIN_K, MAX_K = 2, 12
CURVE_ROWS = 20_000
"""Customers that the curve is measured on, at most."""
SILHOUETTE_ROWS = 3_000
"""Customers that the silhouette is measured on, at most; its standard error is then about 0.003."""
RESAMPLES = 10
STEADY = 0.85
"""Stability from which on segments count as recovered: "highly stable" (Hennig 2007, of the Jaccard index)."""
STAYS_WITHIN = 2
"""Standard errors that the silhouette of the k in use may be below the best."""


@dataclass(frozen=True)
class Floors:
    """What a number of segments must reach to be admissible.

    Attributes:
        stability: mean adjusted Rand index between bootstrap refits; 1 is always the same segments, 0 is chance.
        smallest_share: customers in the smallest segment / all customers.
        customers: number of customers below which neither figure means anything.
    """

    stability: float = 0.7
    smallest_share: float = 0.03
    customers: int = 100


@dataclass(frozen=True)
class CurvePoint:
    """The figures of one k; `refused` says why k is not admissible, and is empty if it is."""

    k: int
    inertia: float
    silhouette: float
    silhouette_error: float
    stability: float
    smallest_share: float
    refused: str = ""


@dataclass(frozen=True)
class Choice:
    """The chosen k, the reason, and the whole curve; `rows` is the number of customers it was measured on."""

    k: int
    reason: str
    elbow: int
    curve: tuple[CurvePoint, ...]
    floors: Floors
    rows: int
    seed: int

    def to_record(self) -> dict[str, Any]:
        """Return the choice as JSON can hold it, to be stored with the model."""
        return asdict(self)


def choose_k(
    features: pd.DataFrame,
    recipe: Callable[[int, int], Pipeline],
    *,
    seed: int,
    floors: Floors | None = None,
    in_use: int | None = None,
) -> Choice:
    """Choose the number of clusters by the rule in the module's docstring.

    Args:
        features: one row per customer, with only the columns that the recipe takes.
        recipe: returns an unfitted Pipeline that ends in k-means, given k and a seed.
        seed: of the sample, of the resamples and of the starts of k-means.
        floors: what k must reach; `Floors()` if left out.
        in_use: the champion's number of clusters; None without a champion.

    Raises:
        RefusedError: there are too few customers, too few different ones, or no k is admissible.
    """
    floors = floors or Floors()
    _check_enough(features, floors)
    rows = sample(features, seed)
    draws = resamples(len(rows), seed, RESAMPLES)
    # One thread: several would add up in the order in which they finish, and the last digits would vary.
    with threadpool_limits(1):
        curve = tuple(
            _measure(recipe(k, seed).fit(rows), rows, draws, floors, seed)
            for k in log_each(log, "measure k =", range(MIN_K, MAX_K + 1))
        )
    scaled = recipe(MIN_K, seed)[:-1].fit_transform(rows)
    inertia_of_one = float(((scaled - scaled.mean(axis=0)) ** 2).sum())
    elbow_k = elbow([inertia_of_one, *(point.inertia for point in curve)])
    k, reason = _decide(curve, elbow_k, in_use)
    return Choice(k, reason, elbow_k, curve, floors, len(rows), seed)


def elbow(inertias: Sequence[float]) -> int:
    """Return the k farthest below the chord of a falling curve; `inertias[0]` belongs to k = 1."""
    heights = np.asarray(inertias, dtype=float)
    relative = (heights - heights[-1]) / (heights[0] - heights[-1])
    return 1 + int(np.argmax(1 - np.linspace(0, 1, len(heights)) - relative))


def sample(features: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return at most `CURVE_ROWS` rows, in their order."""
    return features.iloc[sample_positions(len(features), CURVE_ROWS, seed)]


def sampled_silhouette(space: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> tuple[float, float]:
    """Return the mean silhouette of at most `SILHOUETTE_ROWS` rows and its standard error."""
    return silhouette(space, labels, sample_positions(len(space), SILHOUETTE_ROWS, seed))


def _check_enough(features: pd.DataFrame, floors: Floors) -> None:
    if len(features) < floors.customers:
        raise RefusedError(
            "too few customers to segment",
            observed=f"{len(features):,} customers",
            allowed=f"{floors.customers:,} or more",
            todo="train on a later day or a longer window",
        )
    different = len(features.drop_duplicates())
    if different <= MAX_K:
        raise RefusedError(
            "the customers are too alike to segment",
            observed=f"{different:,} different rows among {len(features):,} customers",
            allowed=f"{MAX_K + 1} different rows or more",
            todo="look at the features: if a source stops delivering, all customers get the same values",
        )


def _measure(
    fitted: Pipeline, rows: pd.DataFrame, draws: Sequence[NDArray[np.int64]], floors: Floors, seed: int
) -> CurvePoint:
    kmeans = fitted[-1]
    k, labels = int(kmeans.n_clusters), fitted.predict(rows)
    mean, error = sampled_silhouette(fitted[:-1].transform(rows), labels, seed)
    agreement, share = stability(fitted, rows, draws), smallest_share(labels, k)
    refused = [
        f"{metric_of(name).text} {metric_of(name).value(value)} is below {metric_of(name).value(floor)}"
        for name, value, floor in (
            ("stability", agreement, floors.stability),
            ("smallest_share", share, floors.smallest_share),
        )
        if not value >= floor
    ]
    return CurvePoint(k, float(kmeans.inertia_), mean, error, agreement, share, "; ".join(refused))


def _decide(curve: Sequence[CurvePoint], elbow_k: int, in_use: int | None = None) -> tuple[int, str]:
    """Return the chosen k and the reason in words."""
    admissible = [point for point in curve if not point.refused]
    from_elbow = [point for point in admissible if point.k >= elbow_k]
    if from_elbow:
        steady = [point for point in from_elbow if point.stability >= STEADY]
        best = max(steady or from_elbow, key=lambda point: point.silhouette)
        reason = f"the elbow of the inertia is at {elbow_k}; from there up, {_listed(from_elbow)} reach the floors"
        reason += f", {_listed(steady)} with a stability of {number(STEADY)} or more" if steady else ""
        reason += f"; of these {best.k} has the best silhouette ({number(best.silhouette)})"
        if in_use != best.k and any(point.k == in_use and _stays(point, best) for point in admissible):
            return int(in_use or 0), f"{reason}, which is not clearly better than the {in_use} in use"
        chosen = min(
            (point for point in steady or from_elbow if point.silhouette >= best.silhouette - best.silhouette_error),
            key=lambda point: point.k,
        )
        if chosen is not best:
            reason += f"; {chosen.k} is within its standard error and has fewer segments"
        return chosen.k, reason
    if admissible:
        only = f"only {_listed(admissible)} reach the floors; the largest of them is taken"
        return admissible[-1].k, f"the elbow of the inertia is at {elbow_k}, but {only}"
    raise RefusedError(
        "no number of segments is admissible",
        observed="; ".join(f"k={point.k}: {point.refused}" for point in curve),
        allowed="at least one k that reaches the floors of stability and smallest share",
        todo="train on more customers or a longer window, or lower a floor if that is acceptable",
    )


def _stays(in_use: CurvePoint, best: CurvePoint) -> bool:
    close = in_use.silhouette >= best.silhouette - STAYS_WITHIN * best.silhouette_error
    return close and (in_use.stability >= STEADY or best.stability < STEADY)


def _listed(points: Sequence[CurvePoint]) -> str:
    return ", ".join(str(point.k) for point in points)
