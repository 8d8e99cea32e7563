"""Gradient boosting (LightGBM) of the ratio of sales to the linear forecast of the store.

Target and loss: with r = sales / linear forecast, the trees f minimise the sum of ((r - f) / r)^2. This is the square
of RMSPE, and the ratio makes stores of different size comparable. Squared error on log sales, the usual substitute,
forecasts exp(mean of logs); for log sales of variance v this is exp(1.5 v) times the forecast that is best for RMSPE,
E[1/y] / E[1/y^2], so it is most wrong where uncertainty is greatest (days before a closure, Sundays). With the loss
used here, the trees learn that correction row by row. r is clipped to `LOG_RATIO_RANGE`, so that a few mistyped or
half-closed days do not dominate the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lightgbm
import numpy as np

from pipeline.stores.features import FEATURE_COLUMNS
from pipeline.stores.model import category_values, feature_matrix

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MIN_TRAINING_ROWS_FOR_TWO_THREADS = 100_000
MIN_FORECAST_ROWS_FOR_TWO_THREADS = 1_000
"""With fewer rows a second thread costs more than it saves; on busy cores one row takes a hundred times as long."""
LOG_RATIO_RANGE = (-0.7, 1.5)
"""Range of log(sales / linear forecast); values beyond it are clipped."""
ROUNDS = 350
PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "min_data_in_leaf": 40,  # days around closures are few
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class GradientBoosting:
    """A fitted model; the names of its attributes are part of saved models.

    Attributes:
        booster: predicts the ratio of sales to the linear forecast.
        columns: the features that it reads, in order.
        words: the values of each categorical feature at training (`category_values`).
    """

    booster: lightgbm.Booster
    columns: tuple[str, ...]
    words: dict[str, list[str]]

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the sales forecast of each row, (rows,)."""
        x = feature_matrix(features, self.columns, self.words)
        ratio = self.booster.predict(x, num_threads=2 if len(x) > MIN_FORECAST_ROWS_FOR_TWO_THREADS else 1)
        return np.asarray(np.exp(features["linear"].to_numpy(float)) * ratio)

    def contributions(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return SHAP values as ratios to the linear forecast: (rows, columns + 1), with the base value last."""
        x = feature_matrix(features, self.columns, self.words)
        return np.asarray(self.booster.predict(x, pred_contrib=True))


def fit(train: pd.DataFrame, seed: int) -> GradientBoosting:
    """Fit `ROUNDS` trees."""
    ratio = np.exp(np.clip(np.log(train["sales"].to_numpy(float)) - train["linear"].to_numpy(float), *LOG_RATIO_RANGE))
    categories = category_values(train)
    x = feature_matrix(train, FEATURE_COLUMNS, categories)
    data = lightgbm.Dataset(x, ratio, weight=ratio**-2.0, feature_name=list(FEATURE_COLUMNS))
    threads = 2 if len(train) > MIN_TRAINING_ROWS_FOR_TWO_THREADS else 1
    booster = lightgbm.train(PARAMETERS | {"seed": seed, "num_threads": threads}, data, ROUNDS)
    return GradientBoosting(booster, FEATURE_COLUMNS, categories)
