"""Regions, kinds of purchases and cohorts: figures by hand, and that nothing after the day is known."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipeline.customers.cohorts import retention
from pipeline.customers.purchase_kinds import learn_kinds, levers, purchases_by_kind
from pipeline.customers.regions import NO_REGION, REGIONS, region_of, revenue_by_place
from pipeline.customers.window_sums import sum_window
from pipeline.lake import engine
from pipeline.settings import Settings
from pipeline.simulate.shop import Shop
from tests.customers.shop import clean, line, table, until

DAY = date(2024, 7, 1)


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return engine.connect(Settings(home=str(tmp_path_factory.mktemp("home")), threads=1))


@pytest.fixture(scope="module")
def transactions() -> Any:
    opened = date(2024, 1, 1)
    return clean(Shop(customers=300, opened=opened).lines(opened, DAY + timedelta(days=40)))


def places_of(con: Any, transactions: Any, day: date) -> pd.DataFrame:
    return revenue_by_place(con, sum_window(con, transactions, day, 365), day)


def test_nothing_after_the_day_is_known(con: Any, transactions: Any) -> None:
    whole, cut = ({
        "places": places_of(con, lines, DAY),
        "kinds": purchases_by_kind(con, sum_window(con, lines, DAY, 365)),
        "cohorts": retention(con, lines, DAY),
    } for lines in (transactions, until(transactions, DAY)))  # fmt: skip
    pd.testing.assert_frame_equal(whole["places"], cut["places"])
    pd.testing.assert_frame_equal(whole["cohorts"], cut["cohorts"])
    assert whole["kinds"].kinds == cut["kinds"].kinds
    assert whole["kinds"].explained == pytest.approx(cut["kinds"].explained, rel=1e-9)
    pd.testing.assert_frame_equal(whole["kinds"].table, cut["kinds"].table)


lines_around_the_day = st.lists(
    st.builds(
        line,
        st.sampled_from([None, "a", "b"]),
        st.sampled_from(["1", "2", "3"]),
        st.integers(-3, 100).map(lambda days: DAY - timedelta(days=days)),
        st.integers(-3, 9).filter(bool),
        st.sampled_from(["x", "y"]),
        country=st.sampled_from([None, "France", "Japan"]),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(lines=lines_around_the_day, seed=st.randoms())
def test_neither_later_lines_nor_the_order_of_rows_matter(con: Any, lines: list[dict[str, Any]], seed: Any) -> None:
    known = [sold for sold in lines if sold["invoiced_at"].date() < DAY]
    assume(known)
    seed.shuffle(known)
    for figures in (lambda t: places_of(con, t, DAY), lambda t: retention(con, t, DAY)):
        pd.testing.assert_frame_equal(figures(table(lines)), figures(table(known)))


def test_places_have_revenue_growth_and_best_products(con: Any) -> None:
    lately, before = DAY - timedelta(days=1), DAY - timedelta(days=92)
    lines = [
        line("a", "1", lately, 10, "x", country="France"),
        line("a", "2", before, 2, "y", country="France"),
        line("a", "C", lately, -4, "x", country="France"),
        line("b", "3", before, 5, "y", country="Germany"),
        line(None, "4", lately, 1, "z", country="Germany"),
        line("c", "5", lately, 3, "x", country=None),
        line("d", "late", DAY, 99, country="France"),
        # Read for the reviews of the loyalty programme, but before the window.
        line("d", "early", DAY - timedelta(days=366), 99, country="France"),
    ]
    found = places_of(con, table(lines), DAY)
    rows = {row["country"] or row["region"]: row for row in found.to_dict("records")}
    assert {name: row["revenue"] for name, row in rows.items()} == {
        "Europe": 28.0, "France": 16.0, "Germany": 12.0, NO_REGION: 6.0,
    }  # fmt: skip
    assert (rows["France"]["latest"], rows["France"]["before"]) == (12.0, 4.0)
    assert (rows["Europe"]["customers"], rows["Europe"]["invoices"]) == (2, 4), "guests are no customers"
    assert rows["Europe"]["products"] == ["y", "x", "z"]
    assert rows["France"]["products"] == ["x", "y"]
    assert places_of(con, table(lines), date(2020, 1, 1)).empty


def test_regions_have_no_country_twice_and_names_are_found_however_written() -> None:
    countries = [country for names in REGIONS.values() for country in names.split(", ")]
    assert len(countries) == len(set(countries))
    assert region_of("  United   KINGDOM") == region_of("EIRE") == "Europe"
    assert (region_of("USA"), region_of("RSA"), region_of("Japan")) == ("Americas", "Africa", "Asia")
    assert region_of("Unspecified") == region_of(None) == NO_REGION


def test_the_kinds_of_a_mixture_are_found() -> None:
    rng = np.random.default_rng(3)
    parts = [rng.normal(np.log(centre), 0.4, count) for centre, count in ((2, 1000), (20, 700), (200, 300))]
    found = learn_kinds(np.concatenate(parts))
    assert found is not None
    assert found.centres == pytest.approx((2, 20, 200), rel=0.1)
    assert 4 < found.thresholds[0] < 10
    assert 45 < found.thresholds[1] < 110
    assert found.unsure < 0.05
    assert learn_kinds(np.log(np.repeat([1.0, 12.0, 48.0], 100))) is None, "three numbers are no distribution"


def test_purchases_are_described_by_kind(con: Any) -> None:
    quantities = [1, 1, 2, 2, 3, 12, 14, 16, 18, 20, 150, 170, 190]
    lines = [
        line(f"c{n % 7}", f"i{n}", DAY - timedelta(days=1 + n % 300), quantities[n % 13] + n % 2)
        for n in range(260)
    ]  # fmt: skip
    lines += [line("c1", "wide", DAY - timedelta(days=3), 2, f"p{k}") for k in range(30)]
    found = purchases_by_kind(con, sum_window(con, table(lines), DAY, 365))
    assert found is not None
    rows = found.table.set_index("kind")
    assert rows.index.tolist() == ["personal", "bulk", "reseller"]
    assert rows["invoices"].sum() == 261
    assert rows.loc["reseller", "invoices"] == 60
    assert rows.loc["personal", "lines"] == pytest.approx((100 + 30) / 101)
    assert rows["price"].tolist() == [2.0, 2.0, 2.0]
    assert (rows["value"] * rows["invoices"]).sum() == pytest.approx(rows["revenue"].sum())
    assert sum(found.explained.values()) == pytest.approx(1)
    assert found.explained["price"] == pytest.approx(0, abs=1e-9)
    assert purchases_by_kind(con, sum_window(con, table(lines[:50]), DAY, 365)) is None, "too few purchases"


def test_each_lever_raises_the_average_invoice_by_as_much() -> None:
    kinds = pd.DataFrame(
        {
            "kind": ["personal", "bulk", "reseller"],
            "invoices": [50, 40, 10],
            "revenue": [1000.0, 4000.0, 5000.0],
            "value": [20.0, 100.0, 500.0],
            "lines": [4.0, 5.0, 10.0],
            "units_per_line": [2.0, 10.0, 50.0],
        }
    )
    found = levers(kinds, 0.1)
    assert found["price"] == 0.1
    assert found["lines"] * 10_000 / 500 == pytest.approx(10), "10 % of the average invoice of 100"
    assert found["units"] * 10_000 / (50 * 8 + 40 * 50 + 10 * 500) == pytest.approx(10)
    assert found["shift:personal"] * 50 * (100 - 20) == pytest.approx(1000)
    assert found["shift:bulk"] * 40 * (500 - 100) == pytest.approx(1000)


def test_cohorts_are_followed_month_by_month(con: Any) -> None:
    lines = [
        line("a", "1", date(2024, 1, 5)),
        line("a", "2", date(2024, 1, 25)),
        line("a", "3", date(2024, 3, 5)),
        line("b", "4", date(2024, 1, 31)),
        line("b", "C", date(2024, 2, 1), -1),
        line("c", "5", date(2024, 2, 29)),
        line("c", "6", date(2024, 4, 1)),
        line(None, "7", date(2024, 2, 3)),
    ]
    found = retention(con, table(lines), date(2024, 4, 20))
    assert found.index.tolist() == [date(2024, 1, 1), date(2024, 2, 1)]
    assert found["customers"].tolist() == [2, 1]
    assert found.loc[date(2024, 1, 1), [0, 1, 2]].tolist() == [1.0, 0.0, 0.5]
    assert found.loc[date(2024, 2, 1), [0, 1]].tolist() == [1.0, 0.0], "April has not ended"
    assert np.isnan(found.loc[date(2024, 2, 1), 2])
    assert retention(con, table(lines), date(2024, 1, 31)).empty
    assert retention(con, table(lines), date(2030, 1, 1)).empty, "too long ago"
