"""The sections of the customers page: what they say, and that hostile texts stay texts."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.customers import customer_lists, customer_search
from pipeline.customers.customer_search import CHUNK, FIELDS, search_section
from pipeline.customers.insiders import Bounds, Review, Rule
from pipeline.customers.insiders_compared import Difference
from pipeline.customers.product_names import MAX_NAME, product_name
from pipeline.customers.purchase_kinds import Invoices, Kinds
from pipeline.customers.regions import NO_REGION
from pipeline.customers.report_insiders import Insiders, insiders_sections, member_list, write_list
from pipeline.customers.report_purchases import cohort_section, kind_sections, region_sections
from pipeline.customers.report_segments import in_words, segment_profiles, segment_sections
from pipeline.lake.tables import Lake
from pipeline.reports.csv_text import read_csv
from pipeline.reports.page import Section, render_page
from pipeline.settings import Settings

DAY = date(2025, 7, 10)


def text(sections: list[Section]) -> str:
    html = re.sub(r"<script.*?</script>", " ", render_page("Customers", "As of", sections), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture
def insiders() -> Insiders:
    rule = Rule(date(2025, 7, 1), Bounds(1000, 4, 30), Bounds(700, 3, 60))
    customers = pd.DataFrame(
        {
            "customer_id": ["1", "=2", "3", "4"],
            "segment_name": ["insiders", "regulars", "regulars", "lapsed"],
            "revenue": [5000.0, 600.0, 1200.0, 200.0],
            "invoices": [9.0, 5.0, 4.0, 1.0],
            "recency_days": [3.0, 9.0, 12.0, 200.0],
            "average_ticket": [500.0, 140.0, 300.0, 200.0],
            "distinct_products": [90.0, 30.0, 50.0, 2.0],
            "expected_revenue": [1500.0, 100.0, 300.0, 100.0],
            **{name: [1.0, 1.0, 1.0, np.nan] for name in (
                "days_between_invoices", "cancellation_rate", "return_units", "monthly_spend_trend",
                "purchase_frequency", "median_basket_units", "is_home_country",
            )},
        }
    )  # fmt: skip
    known = customers["customer_id"].to_numpy()
    before = Review(date(2025, 6, 1), rule, {"1": date(2025, 4, 1), "5": date(2025, 4, 1)}, known)
    members = {"1": date(2025, 4, 1), "=2": date(2025, 7, 1)}
    within = Difference(DAY - timedelta(days=365), DAY, 2800, 700, -900, 5100)
    after = Difference(date(2025, 4, 1), date(2025, 7, 1), 900, 200, 100, 1300)
    return Insiders(DAY, [before, Review(date(2025, 7, 1), rule, members, known)], customers, within, after)


def test_the_programme_says_who_may_join_and_what_it_brings(insiders: Insiders) -> None:
    found = text(insiders_sections(insiders, "list.csv"))
    assert "revenue of at least 1,000 net of returns on at least 4 invoices in the window" in found
    assert "A member stays with 700, 3 invoices and a purchase within 60 days" in found
    assert "There are 2 members, 50.0 % of the customers. They bring 80.0 % of the revenue" in found
    assert "1 member of the programme is also in the segment insiders" in found
    assert "expected to bring 1,600, 80.0 % of what is expected of all customers, 800 each" in found
    assert "more than chance: between 100 and 1,300" in found
    assert "2,800 700 2,100 -900 to 5,100" in found
    assert "At the review of 2025-07-01 1 joined and 1 left; 1 stayed." in found
    assert "1 customer would join and 1 member would leave" in found, "3 reaches everything, =2 lacks 100"


def test_the_list_of_members_starts_no_formula(insiders: Insiders, tmp_path: Path) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    name = write_list(lake, insiders)
    written = lake.path("reports", "customers", name).read_text()
    assert written == member_list(insiders)
    assert "'=2" in written
    rows = read_csv(written, name)
    assert [row[:4] for row in rows] == [
        ["customer_id", "segment_name", "member_since", "may_leave"],
        ["1", "insiders", "2025-04-01", "no"],
        ["=2", "regulars", "2025-07-01", "yes"],
    ]
    assert rows[1][4] == "5000.00"


def test_a_difference_that_may_be_chance_is_called_so(insiders: Insiders) -> None:
    by_chance = Difference(date(2025, 4, 1), date(2025, 7, 1), 300, 200, -50, 250)
    sections = insiders_sections(Insiders(DAY, insiders.reviews, insiders.customers, None, by_chance), "list.csv")
    assert "not more than chance allows: it may be anything from -50.00 to 250" in text(sections)


def test_segments_are_described_by_what_is_farthest_from_the_middle() -> None:
    features = dict.fromkeys(("revenue", "average_ticket", "distinct_products", "median_basket_units"), 0.5)
    assert in_words({**features, "invoices": 0.9, "recency_days": 0.2, "cancellation_rate": 0.55}) == (
        "buy often and bought recently"
    )
    assert in_words({**features, "invoices": 0.55}) == "like the average customer"


def test_the_profile_of_segments_is_their_mean_rank() -> None:
    values = {name: np.arange(4.0) for name in ("invoices", "revenue", "average_ticket", "distinct_products")}
    customers = pd.DataFrame(
        {
            "segment_name": ["a", "a", "b", "b"],
            **values,
            "recency_days": [9.0, 9.0, 1.0, 1.0],
            "median_basket_units": [1.0] * 4,
            "cancellation_rate": [0.0] * 4,
            "units": [100.0, 100.0, 50.0, 50.0],
            "return_units": [5.0, 5.0, 0.0, 0.0],
        }
    )
    ranks = segment_profiles(customers)
    assert ranks.loc["a", ["invoices", "recency_days", "median_basket_units"]].tolist() == [0.25, 0.75, 0.5]
    found = text(segment_sections(customers, ["b", "a"]))
    assert "a 9 0 0.50 0 5.0 % bought long ago, buy seldom and bring little revenue" in found


def test_places_kinds_and_cohorts_are_told() -> None:
    place = {"customers": 3, "invoices": 5, "products": ["A"]}
    places = pd.DataFrame(
        [
            {"region": "Europe", "country": None, "revenue": 900.0, "latest": 300.0, "before": 200.0, **place},
            {"region": "Europe", "country": "<b>France", "revenue": 900.0, "latest": 300.0, "before": 0.0, **place},
        ]
    )
    found = text(region_sections(places, {"A": "RED MUG"}))
    assert "Europe 3 5 900 100.0 % +50 % A RED MUG" in found
    assert "&lt;b&gt;France Europe 3 5 900 100.0 % – A RED MUG" in found
    assert region_sections(places.iloc[:0], {}) == []
    assert region_sections(places.iloc[1:].assign(country=NO_REGION), {}) == [], "no line names a country"
    table = pd.DataFrame(
        {
            "kind": ["personal", "bulk"], "invoices": [80, 20], "customers": [40, 9], "revenue": [800.0, 1200.0],
            "value": [10.0, 60.0], "lines": [2.0, 3.0], "units_per_line": [2.0, 9.0], "price": [2.5, 2.2],
        }
    )  # fmt: skip
    explained = {"lines": 0.3, "units_per_line": 0.704, "price": -0.004}
    found = text(kind_sections(Invoices(Kinds((4.0, 60.0), (2.0, 12.0, 130.0), 0.25), table, explained)))
    assert "personal below 4.0 80 80.0 % 40 800 40.0 % 10.00 2.0 2.50" in found
    assert "70 % go with the units per line and 0 % go with the price of a unit" in found
    assert "So the units per line is the lever" in found
    assert "personal purchases that become bulk purchases 5.0 % of the personal purchases" in found
    months = pd.Index([date(2025, 1, 1), date(2025, 2, 1)])
    retained = pd.DataFrame({"customers": [10, 30], 0: [1.0, 1.0], 1: [0.5, 0.1], 2: [0.25, np.nan]}, index=months)
    found = text(cohort_section(retained))
    assert "20.0 % buy again in the month after" in found
    assert "2025-01 10 50 % 25 % 2025-02 30 10 %" in found
    assert cohort_section(retained[["customers", 0]]) == []


def found_by_search(tmp_path: Path, customers: pd.DataFrame, lists: dict[str, Any]) -> tuple[Section, list[Any]]:
    """The section, and the contents of the scripts beside the page."""
    section = search_section(Lake(Settings(home=str(tmp_path))), DAY, customers, lists, {"A": "</script><b>MUG"})
    scripts = sorted((tmp_path / "reports" / "customers" / f"{DAY}-customers").glob("*.js"))
    contents = [re.fullmatch(r"aisleSearch\((.*)\);\n", script.read_text()) for script in scripts]
    return section, [json.loads(content[1]) for content in contents if content]


def test_every_customer_is_in_one_part_and_the_page_knows_which(tmp_path: Path) -> None:
    ids = [f"{number}" for number in range(2 * CHUNK + 1)] + ["😀", "\uffff", "</script>"]
    customers = pd.DataFrame({"customer_id": ids, "segment_name": "a", "revenue": 1234.567, "alive": 0.123456})
    lists = {"buy again": pd.Series({"7": ["A", "B", "C", "D", "E", "F"]})}
    section, contents = found_by_search(tmp_path, customers, lists)
    parts = [rows for kind, rows in contents if kind == "customers"]
    assert sorted(row[0] for rows in parts for row in rows) == sorted(ids)
    firsts = sorted((rows[0][0] for rows in parts), key=lambda text: text.encode("utf-16-be"))
    assert section.widget is not None
    named = json.loads(re.search(r"const parts = (\[.*?\]\]), ", section.widget)[1])  # type: ignore[index]
    assert [first for first, _ in named] == firsts
    assert {kind: values for kind, values in contents if kind == "products"} == {"products": {"A": "</script><b>MUG"}}
    (row,) = (row for rows in parts for row in rows if row[0] == "7")
    seven = dict(zip(FIELDS, row, strict=True))
    assert seven["buy again"] == ["A", "B", "C", "D", "E"]
    assert (seven["new to you"], seven["member"]) == ([], None)
    assert (seven["revenue"], seven["alive"]) == (1234.6, 0.1235)
    assert '</script>"' not in section.widget.split("<script>")[1]


def test_too_many_customers_are_searched_by_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_search, "MAX_CUSTOMERS", 1)
    section, contents = found_by_search(tmp_path, pd.DataFrame({"customer_id": ["1", "2"]}), {})
    assert "GET /customers/{customer}" in section.sentences[0]
    assert (section.widget, contents) == (None, [])


def test_too_many_customers_for_a_file_are_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    customers = pd.DataFrame({"customer_id": ["1", "2"], "segment_name": "all", "revenue": 1.0})
    customers = customers.assign(invoices=1.0, recency_days=2.0)
    lake = Lake(Settings(home=str(tmp_path)))
    assert len(customer_lists.lists_section(lake, DAY, customers, ["all"]).sentences) == 1
    assert len(list(tmp_path.rglob("*.csv"))) == 1
    monkeypatch.setattr(customer_lists, "MAX_CUSTOMERS", 1)
    later = customer_lists.lists_section(lake, DAY + timedelta(days=1), customers, ["all"])
    assert "too many for a file" in later.sentences[1]
    assert len(list(tmp_path.rglob("*.csv"))) == 1


def test_a_page_of_many_customers_stays_small(tmp_path: Path) -> None:
    section, contents = found_by_search(tmp_path, pd.DataFrame({"customer_id": np.arange(5_000).astype(str)}), {})
    assert section.widget is not None
    assert len(section.widget) < 10_000, "a few bytes a part"
    assert len(contents) == 5_000 / CHUNK + 1


def test_long_names_are_shortened() -> None:
    assert product_name("A", {"A": "RED  MUG"}) == "A RED MUG"
    assert product_name("A", {}) == "A"
    assert len(product_name("A", {"A": "x" * 99})) == MAX_NAME + 2
