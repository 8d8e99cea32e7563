"""Random forest of the residuals of the linear forecast, as one scikit-learn Pipeline.

Numbers are imputed by their median and scaled, and categories are one-hot encoded. Both happen inside the Pipeline, so
the fitted preprocessing is saved with the forest. A forest needs no scaling; the step allows any other regressor in its
place.
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
ROWS_PER_TREE = 60_000
"""Rows drawn for each tree; training on all rows takes minutes more and gives no better forecasts."""
MIN_LEAF_ROWS = 5
LOG_RATIO_RANGE = (-0.7, 1.5)
"""Range of log(sales / linear forecast); values beyond it are clipped."""


@dataclass(frozen=True)
class RandomForest:
    """A fitted model; the name of its attribute is part of saved models.

    Attributes:
        pipeline: predicts log sales minus the linear forecast from the features.
    """

    pipeline: Pipeline

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the sales forecast of each row, (rows,)."""
        residual = self.pipeline.predict(features[list(FEATURE_COLUMNS)])
        return np.asarray(np.exp(features["linear"].to_numpy(float) + residual))


def fit(train: pd.DataFrame, seed: int) -> RandomForest:
    """Fit `TREES` trees."""
    residual = np.clip(np.log(train["sales"].to_numpy(float)) - train["linear"].to_numpy(float), *LOG_RATIO_RANGE)
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
    pipeline = Pipeline([("prepare", prepared), ("forest", forest)]).fit(train[list(FEATURE_COLUMNS)], residual)
    forest.set_params(n_jobs=1)  # several threads add up the trees in varying order, which changes the last digits
    return RandomForest(pipeline)
