"""Gradient boosting (LightGBM) on what the linear model of each store leaves over.

Target and loss. With r = sales / linear forecast, the trees minimise sum ((r - f) / r)^2 over f: the square of RMSPE,
on a scale where all stores look alike. Squared error on log sales, the usual stand-in, forecasts exp(mean log): for log
sales of variance v that is exp(1.5 v) too high for RMSPE, whose best forecast is E[1/y] / E[1/y^2], and it is most
wrong where uncertainty is greatest (closing sales, Sundays). Here the trees find that correction themselves, row by
row. r is clipped to `LOG_RATIO_RANGE`, so that a few mistyped or half-closed days do not set the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lightgbm
import numpy as np

from pipeline.stores.features import FEATURE_COLUMNS
from pipeline.stores.model import categories, feature_matrix

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MIN_ROWS_TWO_THREADS = 100_000  # rows to train on from which a second thread saves more than it costs ...
MIN_ROWS_TWO_THREADS_PREDICT = (
    1_000  # ... and rows to forecast: waiting for a busy core, one row would take hundreds of times as long
)
LOG_RATIO_RANGE = (-0.7, 1.5)  # log of sales / linear forecast
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
    """booster: forecasts the ratio. columns: those it reads. words: what each column of words held at training."""

    booster: lightgbm.Booster
    columns: tuple[str, ...]
    words: dict[str, list[str]]

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Mean sales of each row."""
        x = feature_matrix(features, self.columns, self.words)
        ratio = self.booster.predict(x, num_threads=2 if len(x) > MIN_ROWS_TWO_THREADS_PREDICT else 1)
        return np.asarray(np.exp(features["linear"].to_numpy(float)) * ratio)

    def contributions(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """SHAP values in the ratio to the linear forecast: (rows, columns + 1), the last is what all rows start
        from."""
        x = feature_matrix(features, self.columns, self.words)
        return np.asarray(self.booster.predict(x, pred_contrib=True))


def fit(train: pd.DataFrame, seed: int) -> GradientBoosting:
    """Boost `ROUNDS` trees."""
    ratio = np.exp(np.clip(np.log(train["sales"].to_numpy(float)) - train["linear"].to_numpy(float), *LOG_RATIO_RANGE))
    known = categories(train)
    data = lightgbm.Dataset(
        feature_matrix(train, FEATURE_COLUMNS, known), ratio, weight=ratio**-2.0, feature_name=list(FEATURE_COLUMNS)
    )
    booster = lightgbm.train(
        PARAMETERS | {"seed": seed, "num_threads": 2 if len(train) > MIN_ROWS_TWO_THREADS else 1}, data, ROUNDS
    )
    return GradientBoosting(booster, FEATURE_COLUMNS, known)
