"""The evidence stored with a version, complete or with parts missing."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.stores.analysis.evidence import backtest_section, importance_section, partial_section, slices_section


def record(rmspe: float, *, rmse: float = 10.0, slices: dict[str, float] | None = None) -> dict[str, Any]:
    made = {"rmspe": rmspe, "rmse": rmse, "mae": 5.0, "mape": 0.1, "r2": 0.9, "bias": 0.01, "coverage_80": 0.8}
    fold = {
        "from": "2024-05-01",
        "to": "2024-06-11",
        "metrics": made,
        "slices": {name: {"rmspe": value, "coverage_80": 0.7} for name, value in (slices or {}).items()},
        "seconds": {"fit": 2.0, "predict": 0.5},
        "peak_mb": 900.0,
    }
    return {"folds": [fold], "mean": made}


BACKTEST = {
    "seasonal_median": record(0.2, slices={"promotion: yes": 0.3, "promotion: no": 0.05}),
    "gradient_boosting": record(0.1, slices={"promotion: yes": 0.12, "promotion: no": 0.08}),
    "lstm": record(0.3, rmse=15.0),
}


def test_models_are_ordered_by_their_error() -> None:
    section = backtest_section({"backtest": BACKTEST, "candidate": "gradient_boosting"})
    text = " ".join(section.sentences)
    assert "with a typical error (RMSPE) of 10.00 %, followed by seasonal median with 20.00 %." in text
    assert "That is 50.0 % less than the error of the baseline" in text
    assert "The RMSE of the LSTM is 50.0 % more than that of the seasonal median." in text
    assert "The forecasts on this page are made by gradient boosting." in text
    assert section.table is not None
    assert [row[0] for row in section.table.rows] == ["gradient boosting", "seasonal median", "LSTM"]
    assert section.table.rows[0][1:5] == ("10.0 %", "10.00", "5.00", "10.0 %")


def test_an_unbeaten_baseline_is_reported() -> None:
    found = {"seasonal_median": record(0.1), "lstm": record(0.3)}
    assert "No model is better than the baseline" in " ".join(backtest_section({"backtest": found}).sentences)


def test_slices_report_the_largest_error_and_where_the_baseline_is_better() -> None:
    section = slices_section({"backtest": BACKTEST, "candidate": "gradient_boosting"})
    assert section.sentences[0].startswith(
        "The error of gradient boosting is largest for “promotion: yes” (RMSPE 12.0 %)"
    )
    assert section.sentences[1] == "The seasonal median is better for “promotion: no”."


def test_a_dominant_feature_is_named_and_left_out_of_the_chart() -> None:
    found = {
        "importance": [{"feature": "promo", "rmspe_rise": 0.01}, {"feature": "linear", "rmspe_rise": 0.7}],
        "contributions": [{"feature": "promo_since", "mean": 0.02}],
    }
    section = importance_section(found)
    assert (
        "increases the typical error (RMSPE) by 70.00 points, followed by promotion (1.00 points)."
        in section.sentences[0]
    )
    assert "days since the last promotion contributes most: 2.00 %" in section.sentences[1]
    assert "rise of the typical error (RMSPE), points, without the first feature" in str(section.figure)


def test_partial_effects_are_described_and_flat_ones_called_flat() -> None:
    found = {
        "partial": {
            "promo": [{"value": 0.0, "ratio": 0.9}, {"value": 1.0, "ratio": 1.2}],
            "weekday": [{"value": float(day), "ratio": 1.0 + day / 10_000} for day in range(7)],
            "competition_distance": [{"value": 100.0, "ratio": 0.98}, {"value": 5000.0, "ratio": 1.0}],
        }
    }
    text = partial_section(found, ("promo",)).sentences
    assert text == [
        "Promotion: from -10.0 % (none) to +20.0 % (promotion).",
        "Weekday: all values give the same forecast within 0.06 %.",
        "Competitor's distance: from -2.0 % (100 m) to +0.0 % (5,000 m).",
    ]
    assert "adds to each store's linear forecast" in partial_section(found, ("linear",)).sentences[-1]


@pytest.mark.parametrize("evidence", [{}, {"backtest": {}, "importance": [], "contributions": [], "partial": {}}])
def test_missing_evidence_is_reported(evidence: dict[str, Any]) -> None:
    sections = [importance_section(evidence), partial_section(evidence, ()), backtest_section(evidence)]
    for section in [*sections, slices_section(evidence)]:
        assert section.figure is None
        assert "stored with this version" in section.sentences[0]
