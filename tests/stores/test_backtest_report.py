"""The page of a backtest says in which folds the candidate is not better than a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from pipeline.stores.backtest_report import folds_section, sums_section, write_backtest_page

if TYPE_CHECKING:
    from pathlib import Path


def result(*errors: float) -> dict[str, Any]:
    folds = [
        {
            "from": f"2024-0{month}-01",
            "to": f"2024-0{month}-28",
            "metrics": {"mape": mape, "rmspe": mape, "bias": 0.02},
            "slices": {"promotion: yes": {"rmspe": mape}},
            "seconds": {},
            "peak_mb": 1.0,
        }
        for month, mape in enumerate(errors, 1)
    ]
    return {"folds": folds, "mean": {"mape": sum(errors) / len(errors), "rmspe": 0.1, "bias": 0.02}}


def test_folds_in_which_a_baseline_is_as_good_are_named() -> None:
    models = {
        "gradient_boosting": result(0.1, 0.2),
        "seasonal_median": result(0.2, 0.3),
        "last_season": result(0.3, 0.2),
    }
    section = folds_section(models, "gradient_boosting")
    assert (
        "It is not smaller than that of seasonal median and last season in the folds from 2024-02-01."
        in (section.sentences[1])
    )
    assert section.table is not None
    assert len(section.table.rows) == 6
    assert section.table.rows[0][:4] == ("2024-01-01 to 2024-01-28", "gradient boosting", "10.0 %", "10.0 %")


def test_a_candidate_that_wins_everywhere_is_said_to() -> None:
    models = {"gradient_boosting": result(0.1, 0.1), "last_season": result(0.3, 0.2)}
    assert "smaller than that of last season in every fold" in folds_section(models, "gradient_boosting").sentences[1]


def test_the_page_is_written_below_reports(tmp_path: Path) -> None:
    models = {"gradient_boosting": result(0.1, 0.1), "last_season": result(0.3, 0.2)}
    lake = Lake(Settings(home=str(tmp_path)))
    path = write_backtest_page(lake, models, "gradient_boosting")
    assert path == "reports/stores_backtest/2024-02-28.html"
    assert "Every fold" in lake.path(path).read_text()


def test_sums_are_shown_by_kind_as_means_over_the_folds() -> None:
    shares = [{"coverage_80": share, "width_80": 0.2, "coverage_95": 1.0, "width_95": 0.3} for share in (0.5, 1.0)]
    section = sums_section([{"sums": {"chain": one}} for one in shares])
    assert section.table is not None
    assert section.table.rows[0] == (
        "chain",
        "75.0 % (50 to 100)",
        "20.0 % (20 to 20)",
        "100.0 % (100 to 100)",
        "30.0 % (30 to 30)",
    )
    alone = sums_section([{"sums": {"chain": shares[0]}}]).table
    assert alone is not None
    assert alone.rows[0][1] == "50.0 %"
    assert "no earlier fold" in sums_section([{"sums": {}}]).sentences[0]
