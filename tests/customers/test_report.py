"""The customers' page: figures, names and sentences as they come out of the profile."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from pipeline.customers.report import CustomersReport, write_customers_report
from pipeline.customers.segments import SEGMENT_FEATURES
from pipeline.lake.tables import Lake
from pipeline.registry.records import ModelVersion, Provenance
from pipeline.settings import Settings


def a_version() -> ModelVersion:
    made_from = Provenance(date(2025, 6, 1), {"transactions": 1}, SEGMENT_FEATURES, 7, "abc123")
    values = {"name": "customer_segments", "version": 3, "provenance": made_from, "metrics": {}}
    wanted = ModelVersion.__dataclass_fields__
    return ModelVersion(**{name: values.get(name) for name in wanted})  # type: ignore[arg-type]


def a_report() -> CustomersReport:
    profile = pd.DataFrame(
        {
            "segment_name": ["insiders", "<i>quiet</i>"],
            "customers": [20, 80],
            "share": [0.2, 0.8],
            "revenue": [9000.0, 1000.0],
            "revenue_share": [0.9, 0.1],
            "revenue_per_customer": [450.0, 12.5],
            **{f"mean_{feature}": [2.0, 0.0] for feature in SEGMENT_FEATURES},
            "mean_cancellation_rate": [0.0, 0.0],
        }
    )
    point = {"silhouette": 0.3, "stability": 0.9, "smallest_share": 0.2, "inertia": 10.0}
    curve = [
        {"k": 2, "refused": None, **point},
        {"k": 3, "refused": "too small", **point},
        {"k": 4, "refused": None, **point},
    ]
    choice = {"k": 2, "reason": "two is best", "curve": curve}
    guests = {"guest_revenue": 2500.0, "known_revenue": 10000.0, "guest_share": 0.2}
    return CustomersReport(date(2025, 7, 1), 365, a_version(), choice, profile, guests)


@pytest.fixture
def html(tmp_path: Path) -> str:
    lake = Lake(Settings(home=str(tmp_path)))
    path = write_customers_report(lake, a_report())
    assert path == "reports/customers/2025-07-01.html"
    return lake.path(path).read_text()


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_it_says_who_brings_the_revenue_and_what_guests_brought(html: str) -> None:
    page_text = text(html)
    assert "The 20 insiders are 20.0 % of the customers and bring 90.0 % of their revenue, 450 each." in page_text
    assert "Guests brought another 2,500" in page_text
    assert "insiders 20 20.0 % 9,000 90.0 % 450" in page_text
    assert "version 3 of customer segments, trained as of 2025-06-01" in page_text


def test_it_says_how_the_number_of_segments_was_chosen(html: str) -> None:
    page_text = text(html)
    assert "Two is best." in page_text
    assert "2 0.300 0.900 20.0 % chosen" in page_text
    assert "3 0.300 0.900 20.0 % too small" in page_text
    assert "4 0.300 0.900 20.0 % admissible" in page_text


def test_names_are_text_and_nothing_comes_from_elsewhere(html: str) -> None:
    assert "<i>quiet" not in html
    assert not re.search(r'(src|href)="(https?:)?//', html)
    assert "NaN" not in html.split("<script>")[-1], "a feature whose mean is 0 has no ratio, and JSON has no NaN"
