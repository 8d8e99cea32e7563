"""The spaces in which the study looks for segments: the same customers, seen by their features in six ways."""

from __future__ import annotations

import importlib
import importlib.util
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.customers.segments import LOGGED, SEGMENT_FEATURES, LogSkewed
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FIFTEEN_FEATURES = (
    *SEGMENT_FEATURES,
    "units",
    "average_ticket",
    "distinct_products",
    "days_between_invoices",
    "cancellations",
    "return_units",
    "monthly_spend_mean",
    "monthly_spend_std",
    "monthly_spend_trend",
)
EXPLAINED_VARIANCE = 0.8
TREES, MIN_LEAF = 100, 20
PERPLEXITY = 30
UMAP_INSTALL = "pip install --require-hashes --requirement requirements-study.txt"


@dataclass(frozen=True)
class Space:
    """Customers as points.

    Attributes:
        name: how the page calls it.
        points: (customers, dimensions).
        assigns: whether a new customer can be placed by arithmetic that a registered model may hold.
        picture: whether it is a two-dimensional drawing, in which distances between groups mean little.
        seconds: how long it took to make.
    """

    name: str
    points: Floats
    assigns: bool
    picture: bool
    seconds: float


STANDARDISED, LOG_STANDARDISED, COMPONENTS = "standardised", "log-standardised", "principal components"
UMAP, TSNE_NAME, LEAVES = "UMAP", "t-SNE", "forest leaves + UMAP"
PICTURES = frozenset({UMAP, TSNE_NAME, LEAVES})
NEEDS_UMAP = frozenset({UMAP, LEAVES})


def standardised(features: pd.DataFrame, seed: int) -> Floats:  # noqa: ARG001 (nothing in it is random)
    """The features of the segmentation, each with unit variance."""
    return np.asarray(StandardScaler().fit_transform(features[list(SEGMENT_FEATURES)]), dtype=np.float64)


def log_standardised(features: pd.DataFrame, seed: int) -> Floats:  # noqa: ARG001
    """The champion's own space: signed log of all but recency, then unit variance."""
    logged = LogSkewed(LOGGED).fit_transform(features[list(SEGMENT_FEATURES)])
    return np.asarray(StandardScaler().fit_transform(logged), dtype=np.float64)


def principal_components(features: pd.DataFrame, seed: int) -> Floats:
    """As many principal components of fifteen features as hold 80 % of their variance (Jolliffe 2002)."""
    logged = LogSkewed().fit_transform(features[list(FIFTEEN_FEATURES)])
    scaled = StandardScaler().fit_transform(logged)
    return np.asarray(PCA(EXPLAINED_VARIANCE, random_state=seed).fit_transform(scaled), dtype=np.float64)


def umap_picture(features: pd.DataFrame, seed: int) -> Floats:
    """UMAP of the champion's space in two dimensions (McInnes, Healy & Melville 2018)."""
    return _umap(log_standardised(features, seed), seed, "euclidean", min_dist=0.1)


def tsne_picture(features: pd.DataFrame, seed: int) -> Floats:
    """t-SNE of the champion's space in two dimensions (van der Maaten & Hinton 2008)."""
    points = log_standardised(features, seed)
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, random_state=seed).fit_transform(points), dtype=np.float64)


def leaves_picture(features: pd.DataFrame, seed: int) -> Floats:
    """UMAP of the leaves in which a random forest that predicts revenue puts each customer (Breiman 2001).

    Two customers are the closer the more trees put them into the same leaf. The forest's inputs are the other fourteen
    features, some of which are made from revenue, so it orders customers by revenue above all.
    """
    inputs = [name for name in FIFTEEN_FEATURES if name != "revenue"]
    forest = RandomForestRegressor(TREES, min_samples_leaf=MIN_LEAF, random_state=seed)
    revenue = features["revenue"].to_numpy(dtype=np.float64)
    forest.fit(features[inputs], np.sign(revenue) * np.log1p(np.abs(revenue)))
    # Points may lie on each other, as UMAP's authors advise where a drawing is to be clustered.
    return _umap(forest.apply(features[inputs]), seed, "hamming", min_dist=0.0)


SPACES: Mapping[str, Callable[[pd.DataFrame, int], Floats]] = {
    STANDARDISED: standardised,
    LOG_STANDARDISED: log_standardised,
    COMPONENTS: principal_components,
    UMAP: umap_picture,
    TSNE_NAME: tsne_picture,
    LEAVES: leaves_picture,
}
"""Name -> function of the features and the seed. `log_standardised` is what the study calls the plain feature space."""


def make_space(name: str, features: pd.DataFrame, seed: int) -> Space:
    """Make a space of customers.

    Args:
        name: one of `SPACES`.
        features: one row per customer, with `FIFTEEN_FEATURES`; all finite.
        seed: of everything random.

    Raises:
        UsageError: it needs UMAP, which is not installed.
    """
    start = time.monotonic()
    # One thread: more gain little on so few rows, and the last digits would depend on the order in which they finish.
    with threadpool_limits(1):
        points = SPACES[name](features, seed)
    picture = name in PICTURES
    return Space(name, points, assigns=not picture, picture=picture, seconds=time.monotonic() - start)


def has_umap() -> bool:
    """Whether UMAP is installed; it is an optional extra."""
    return importlib.util.find_spec("umap") is not None


def _umap(points: Any, seed: int, metric: str, *, min_dist: float) -> Floats:
    if not has_umap():
        raise UsageError("UMAP is not installed", where="umap-learn", todo=UMAP_INSTALL)
    # It compiles itself when it is imported, which takes seconds, and nothing else needs it.
    umap = importlib.import_module("umap")
    # With a seed it uses one thread in any case; said so, it does not warn of it.
    drawing = umap.UMAP(metric=metric, min_dist=min_dist, random_state=seed, n_jobs=1)
    with warnings.catch_warnings():
        # Of the way back from the drawing, which is not taken.
        warnings.filterwarnings("ignore", "gradient function is not yet implemented")
        return np.asarray(drawing.fit_transform(points), dtype=np.float64)
