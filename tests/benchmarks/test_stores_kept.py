"""Forecasts that were kept are read, and only the models that are missing are fitted."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks import stores_kept
from pipeline.stores.folds import Fold, FoldForecasts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FOLD = Fold(dt.date(2024, 1, 1), dt.date(2024, 2, 11))


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[str] = []

    def forecast(*given: Any, seed: int) -> FoldForecasts:
        *_, fold, fits = given
        fitted.extend(fits)
        frame = pd.DataFrame({name: [1.0, 2.0] for name in stores_kept.SCORED_COLUMNS})
        costs = {name: {"fit": 1.0, "predict": 2.0, "peak_mb": 3.0} for name in fits}
        means = {name: frame["sales"].to_numpy() * seed for name in fits}
        return FoldForecasts(fold, frame, frame[["store"]], means, costs, 4.0, {})

    monkeypatch.setattr(stores_kept, "forecast_fold", forecast)
    tables: Any = None
    fit: Any = None
    for names in (["one"], ["one", "two"], ["two"]):
        fits = dict.fromkeys(names, fit)
        made = stores_kept.forecast_or_read(tables, tables, tables, FOLD, fits, seed=7, folder=tmp_path)
        assert list(made.means) == names
        assert made.of_model("two" if "two" in names else "one")["mean"].tolist() == [7.0, 14.0]
        assert made.feature_seconds == 4.0
    assert fitted == ["one", "two"]
