"""Error figures of models under one name and in one unit each, computed by scikit-learn.

Errors relative to the actual value are fractions (0.05 is 5 %), never per cent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, r2_score, root_mean_squared_error


def regression_metrics(actual: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Measure predictions of a quantity.

    Args:
        actual: (rows,), what was observed.
        predicted: (rows,), what the model had predicted.

    Returns:
        rmse and mae in the unit of the quantity; mape as a fraction, over the rows whose actual value is above 0, NaN
        if there are none; r2 without unit, NaN if the actual values never vary.
    """
    actual, predicted = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    positive = actual > 0
    return {
        "rmse": float(root_mean_squared_error(actual, predicted)),
        "mae": float(mean_absolute_error(actual, predicted)),
        "mape": float(mean_absolute_percentage_error(actual[positive], predicted[positive]))
        if positive.any()
        else float("nan"),
        "r2": float(r2_score(actual, predicted)) if np.ptp(actual) > 0 else float("nan"),
    }


def calibration_error(outcomes: ArrayLike, probabilities: ArrayLike, *, bins: int = 10) -> float:
    """Return the expected calibration error, as a fraction.

    Rows are sorted by probability and cut into bins of equal size; the error is the mean distance between a bin's mean
    probability and its share of positive outcomes, weighted by its rows.

    Args:
        outcomes: (rows,), 0 or 1.
        probabilities: (rows,), of outcome 1.
        bins: how many bins.
    """
    outcomes, probabilities = np.asarray(outcomes, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    parts = np.array_split(np.argsort(probabilities, kind="stable"), bins)
    gaps = [abs(probabilities[part].mean() - outcomes[part].mean()) * len(part) for part in parts if len(part)]
    return float(sum(gaps) / len(outcomes))
