"""Error figures by hand, in their units."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.metrics import calibration_error, regression_metrics


def test_regression_metrics_by_hand() -> None:
    metrics = regression_metrics([0.0, 10.0, 20.0], [1.0, 11.0, 18.0])
    # The relative errors are 1 / 10 and 2 / 20; the row whose actual value is 0 has none.
    assert metrics == pytest.approx({"rmse": 2**0.5, "mae": 4 / 3, "mape": 0.1, "r2": 1 - 6 / 200})


def test_without_positive_values_there_is_no_mape_and_without_variance_no_r2() -> None:
    metrics = regression_metrics(np.zeros(3), np.ones(3))
    assert np.isnan(metrics["mape"])
    assert np.isnan(metrics["r2"])
    assert metrics["mae"] == 1


def test_calibration_error_by_hand() -> None:
    probabilities = [0.1, 0.2, 0.8, 0.9]
    assert calibration_error([0, 0, 1, 1], probabilities, bins=2) == pytest.approx(0.15)
    assert calibration_error([1, 1, 0, 0], probabilities, bins=2) == pytest.approx(0.85)
    # Bins of one row: each probability is compared with its own outcome.
    assert calibration_error([0, 0, 1, 1], probabilities, bins=10) == pytest.approx((0.1 + 0.2 + 0.2 + 0.1) / 4)
