"""The sections about recommendations and expected value: their figures and words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.customers.report_models import recommendation_sections, value_sections
from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, write_page
from pipeline.settings import Settings

METRICS = {"customers": 1394.0, "hit_rate": 0.864, "recall": 0.195, "ndcg": 0.385, "coverage": 0.349}
NEW = {f"new_{name}": value / 2 for name, value in METRICS.items()} | {"new_coverage": None}
EVALUATION = {"from": "2025-05-01", "days": 31, "k": 10, "methods": {"blend": METRICS | NEW, "popular lately": METRICS}}


def text(tmp_path: Path, sections: list[Section]) -> str:
    lake = Lake(Settings(home=str(tmp_path)))
    html = lake.path(write_page(lake, "customers/a", "Customers", "As of", sections)).read_text()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<script.*?</script>", " ", html, flags=re.DOTALL)))


def rows(*lists: tuple[str, str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"list": name, "subject": subject, "products": found, "chance": 0.25} for name, subject, found in lists]
    )


def test_recommendations_are_named_and_evaluated(tmp_path: Path) -> None:
    lists = rows(
        ("best", "1", ["A"]),
        ("best", "2", ["B"]),
        ("popular", "", ["A", "B"]),
        ("goes with", "A", ["B", "C", "D", "E"]),
    )
    found = text(tmp_path, recommendation_sections(lists, EVALUATION, {"A": "RED  MUG", "B": "<b>=1+1</b>"}))
    assert "2 customers have a list" in found
    assert "1 products" in found
    assert "25.0 %" in found or "25.0%" in found
    assert "A RED MUG" in found
    assert "B &lt;b&gt;=1+1&lt;/b&gt;; C; D" in found
    assert "; E" not in found
    assert "1,394 customers" in found
    assert "86.4 % 19.5 % 0.385 34.9 %" in found
    assert "43.2 %" in found
    assert "–" in found, "what was not measured is no number"


def test_without_anything_that_goes_together_the_page_stands(tmp_path: Path) -> None:
    lists = rows(("best", "1", ["A"]), ("popular", "", ["A"]))
    assert "0 products a list" in text(tmp_path, recommendation_sections(lists, EVALUATION, {}))


@pytest.fixture
def value() -> pd.DataFrame:
    def customer(number: int, revenue: float, segment: str) -> dict[str, Any]:
        return {
            "customer_id": str(number),
            "segment_name": segment,
            "revenue": revenue,
            "revenue_low": 0.0,
            "revenue_high": 2 * revenue,
            "purchases": 1.5,
            "purchase_chance": 0.5,
            "alive": 0.75,
            "decile": 1 if revenue > 500 else 5,
            "season": 1.25,
        }

    return pd.DataFrame([customer(1, 1000, "insiders"), customer(2, 100, "quiet"), customer(3, 150, "quiet")])


def test_expected_value_by_segment_customer_and_decile(tmp_path: Path, value: pd.DataFrame) -> None:
    model = {"bias": -0.052, "rank_correlation": 0.52, "mae": 585.2, "coverage_80": 0.776, "top_decile_lift": 5.55}
    plain = {"bias": -0.394, "rank_correlation": 0.5, "mae": 564.1, "top_decile_lift": 5.57}
    evaluation = {
        "from": "2025-01-29",
        "days": 92,
        "methods": {"customer_value": model, "BG/NBD + Gamma-Gamma": plain},
        "deciles": [{"expected": 10.0, "actual": 11.0, "customers": 3.0}],
        "total_biases": [0.25, -0.2],
    }
    found = text(tmp_path, value_sections(value, evaluation))
    assert "What to expect of the next 92 days" in found
    assert "1,250 net of returns" in found
    assert "1.25 times" in found
    # Two errors of a factor of 1.25; Student's quantile of 90 % with two degrees of freedom is 1.8856.
    assert f"the total is {1250 / 1.25**1.8856:,.0f} to {1250 * 1.25**1.8856:,.0f}: " in found
    assert "how far 2 earlier totals were off (+25.0 % and -20.0 %)" in found
    assert re.search(r"insiders 1 1,000 80", found)
    assert found.index("insiders 1 1,000") < found.index("quiet 2 250")
    assert "1 1 insiders 1,000 0 2,000 1.5" in found
    assert "1 1 1,000 80.0 % 1,000 1.5 50.0 % 75.0 % 5 2 250 20.0 % 125 1.5 50.0 % 75.0 %" in found
    assert "customer value 585 -5.2 % 0.520 77.6 % 5.55" in found
    assert "BG/NBD + Gamma-Gamma 564 -39.4 % 0.500 – 5.57" in found
