"""A random forest on what the linear model of each store leaves over, as one scikit-learn Pipeline.

Numbers are imputed by their median and scaled, words one-hot encoded, all
inside the Pipeline, so that what was learnt of them travels with the forest. A forest needs no scaling; the step is
there so that any regressor can take its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline.stores.calendar import CATEGORICAL_COLUMNS
from pipeline.stores.features import FEATURE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TREES = 60
ROWS_PER_TREE = 60_000  # drawn for each tree: a tree on all of them costs minutes and forecasts no better
MIN_LEAF_ROWS = 5
LOG_RATIO_RANGE = (-0.7, 1.5)  # log sales against the linear forecast


@dataclass(frozen=True)
class RandomForest:
    """pipeline: features to log sales less the linear forecast."""

    pipeline: Pipeline

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Mean sales of each row."""
        left = self.pipeline.predict(features[list(FEATURE_COLUMNS)])
        return np.asarray(np.exp(features["linear"].to_numpy(float) + left))


def fit(train: pd.DataFrame, seed: int) -> RandomForest:
    """Grow `TREES` trees."""
    left = np.clip(np.log(train["sales"].to_numpy(float)) - train["linear"].to_numpy(float), *LOG_RATIO_RANGE)
    numbers = [name for name in FEATURE_COLUMNS if name not in CATEGORICAL_COLUMNS]
    prepared = ColumnTransformer(
        [
            (
                "numbers",
                Pipeline(
                    [
                        ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
                        ("scale", StandardScaler()),
                    ]
                ),
                numbers,
            ),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(CATEGORICAL_COLUMNS)),
        ]
    )
    forest = RandomForestRegressor(
        TREES,
        min_samples_leaf=MIN_LEAF_ROWS,
        max_features=0.33,
        max_samples=min(ROWS_PER_TREE, len(train)),
        n_jobs=2,
        random_state=seed,
    )
    pipeline = Pipeline([("prepare", prepared), ("forest", forest)]).fit(train[list(FEATURE_COLUMNS)], left)
    forest.set_params(n_jobs=1)  # threads add up their trees in any order, which shows in the last digits
    return RandomForest(pipeline)
