"""Bad input of visits, people and footfall: each with its reason in quarantine, and nothing lost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.dates import UNDATED
from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.ingestion.quarantine import export
from pipeline.ingestion.replay import replay
from pipeline.ingestion.sources import load_sources
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from tests.suites import without_share_limit

ROOT = Path(__file__).resolve().parents[2]
SOURCES = """
time_zone: Europe/London
home_country: United Kingdom
tables:
  visits:
    all:
      from: visits/*.csv
      columns:
        person: ID
        day: {from: Day, day_one: 2021-01-01}
        bought: Bought
        brand: Brand
        quantity: Quantity
        price: Price_{brand}
        promotion: Promotion_{brand}
  people:
    all:
      from: people/*.csv
      columns: {person: ID, sex: Sex, marital_status: Married, age: Age, education: School, income: Income,
        occupation: Job, settlement_size: Town}
  footfall:
    dated:
      from: dated/*.csv
      columns: {day: Day, visitors: Visitor, buyers: Buyer}
    undated:
      from: undated/*.csv
      columns: {visitors: Visitor, buyers: Buyer}
"""
HEADERS = {
    "visits": "ID,Day,Bought,Brand,Quantity,Price_1,Price_own label,Promotion_1,Promotion_own label",
    "people": "ID,Sex,Married,Age,School,Income,Job,Town",
    "dated": "Day,Visitor,Buyer",
    "undated": "Visitor,Buyer",
}


@dataclass(frozen=True)
class House:
    """A shop whose deliveries a test writes by hand."""

    settings: Settings
    folder: Path

    def deliver(self, what: str, *lines: str, name: str = "a.csv", header: str | None = None) -> LedgerEntry:
        path = self.folder / what / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([header or HEADERS[what], *lines]) + "\n")
        table, source = ("footfall", what) if what in ("dated", "undated") else (what, "all")
        found = ingestion.pending(self.settings, table, source)
        return ingestion.ingest(self.settings, next(d for d in found if d.name == name)).entry

    def reasons(self, table: str) -> dict[int, list[str]]:
        rows = Lake(self.settings).read(f"{table}.quarantine").to_pylist()
        return {row["row"]: row["reasons"] for row in rows}

    def clean(self, table: str) -> list[dict[str, Any]]:
        rows = Lake(self.settings).read(table).to_pylist()
        return sorted(rows, key=lambda row: (row["delivery"], row["row"]))


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "sources.yaml").write_text(SOURCES)
    (tmp_path / "data").mkdir()
    settings = Settings(
        home=str(tmp_path / "home"),
        sources=tmp_path / "sources.yaml",
        data=str(tmp_path / "data"),
        expectations=without_share_limit(tmp_path / "expectations"),
    )
    return House(settings, tmp_path / "data")


def test_visits_each_bad_row_with_its_reason(house: House) -> None:
    entry = house.deliver(
        "visits",
        "x,1,0,0,0,1.5,2.5,0,1",
        "x,2,1,own label,3,1.5,2.5,0,1",
        "x,3,1,9,3,1.5,2.5,0,1",  # a brand without a price column
        "x,4,1,own label,3,1.5,,0,0",  # a brand without a price that day
        "x,5,0,0,0,-1.5,2.5,0,1",
        "x,6,0,0,2,1.5,2.5,0,1",
        "x,7,0,1,0,1.5,2.5,0,1",
        "x,8,1,0,2,1.5,2.5,0,1",
        "x,9,1,1,0,1.5,2.5,0,1",
        "x,10,1,1,,1.5,2.5,0,1",
        "x,11,0,0,0,1.5,2.5,0,1",
        "x,11,1,1,1,1.5,2.5,0,1",  # the day twice
        "x,0,0,0,0,1.5,2.5,0,1",
        "x,x,perhaps,0,0,dear,2.5,0,2",
        ",12,0,0,0,1.5,2.5,0,1",
        "x,13,0,0,0,,,0,1",
        "y,11,0,0,,1.5,2.5,,",
    )
    reported = house.reasons("visits")
    expected = {
        3: "the brand that was bought has no price",
        4: "the brand that was bought has no price",
        5: "a price is negative (-1.5)",
        6: "a quantity without a purchase (2)",
        7: "a brand without a purchase (1)",
        8: "a purchase without a brand",
        9: "a purchase of less than one unit (0)",
        10: "a purchase without a quantity",
        11: "the person's day appears more than once (x, 2021-01-11",
        12: "the person's day appears more than once (x, 2021-01-11",
        13: "'0' is not a day of the form 1, 2, … (1 is 2021-01-01)",
        14: "'perhaps' is neither true nor false",
        15: "the person is missing",
        16: "no brand has a price",
    }
    assert set(reported) == set(expected)
    for row, part in expected.items():
        assert any(part in reason for reason in reported[row]), (row, reported[row])
    assert "price: Price_1 'dear' is not a finite number" in reported[14]
    assert "promotion: Promotion_own label '2' is neither true nor false" in reported[14]
    assert (entry.read, entry.clean, entry.quarantined) == (17, 3, 14)
    first, second, third = house.clean("visits")
    assert (first["day"], first["brand"], first["bought"]) == (date(2021, 1, 1), None, False)
    assert second["price"] == [("1", 1.5), ("own label", 2.5)]
    assert (second["brand_price"], second["lowest_price"], second["highest_price"]) == (2.5, 1.5, 2.5)
    assert third["promotion"] == [("1", None), ("own label", None)]


def test_a_corrected_visit_is_accepted(house: House) -> None:
    entry = house.deliver("visits", "x,1,0,0,2,1.5,2.5,0,1", "y,1,0,0,0,1.5,2.5,0,1")
    text = export(house.settings, "visits", entry.delivery)
    assert text.splitlines()[0] == "_row,_reasons," + HEADERS["visits"]
    done = replay(house.settings, "visits", entry.delivery, text.replace("x,1,0,0,2", "x,1,0,0,0"))
    assert (done.read, done.clean) == (1, 1)
    assert [row["person"] for row in house.clean("visits")] == ["y", "x"]


def test_a_delivery_without_prices_is_refused(house: House) -> None:
    with pytest.raises(RefusedError, match=r"missing 'Price_\{brand\}' \(mapped to price"):
        house.deliver("visits", "x,1,0,0,0,1", header="ID,Day,Bought,Brand,Quantity,Promotion_1")


def test_a_mapping_must_have_the_brand_in_its_pattern(house: House) -> None:
    file = house.settings.sources
    file.write_text(SOURCES.replace("Price_{brand}", "Price_1"))
    with pytest.raises(UsageError, match=r"sources.yaml:14: visits.all.price: 'Price_1' must hold \{brand\} once"):
        load_sources(house.settings)


def test_the_newest_delivery_of_a_person_and_day_counts(house: House) -> None:
    house.deliver("visits", "x,1,0,0,0,1.5,2.5,0,1", "y,1,0,0,0,1.5,2.5,0,1")
    house.deliver("visits", "x,1,1,1,2,1.5,2.5,0,1", name="b.csv")
    assert sorted((row["person"], row["bought"]) for row in house.clean("visits")) == [("x", True), ("y", False)]


def test_people_each_bad_row_with_its_reason(house: House) -> None:
    good = "a,0,1,40,2,50000.5,1,2"
    house.deliver(
        "people",
        good,
        "b,2,0,40,1,1,1,1",
        "c,0,0,140,1,1,1,1",
        "d,0,0,40,,1,1,1",
        "e,0,0,40,1,-5,1,1",
        "f,1,0,20,1,1,1,1",
        "f,1,0,21,1,1,1,1",
    )
    reported = house.reasons("people")
    assert set(reported) == {2, 3, 4, 5, 6, 7}
    for row, part in {
        2: "neither 0 nor 1",
        3: "the age is not between 0 and 120",
        4: "the education is missing",
        5: "income is negative",
        6: "the person appears more than once",
        7: "the person appears more than once",
    }.items():
        assert any(part in reason for reason in reported[row]), reported[row]
    (row,) = house.clean("people")
    assert (row["person"], row["income"], row["day"]) == ("a", 50000.5, UNDATED)


def test_the_newest_delivery_of_a_person_counts(house: House) -> None:
    house.deliver("people", "a,0,1,40,2,1,1,2", "b,1,1,41,2,1,1,2")
    house.deliver("people", "b,1,1,42,2,1,1,2", "c,1,1,43,2,1,1,2", name="b.csv")
    assert sorted((row["person"], row["age"]) for row in house.clean("people")) == [("a", 40), ("b", 42), ("c", 43)]


def test_footfall_each_bad_row_with_its_reason(house: House) -> None:
    house.deliver(
        "dated", "2025-03-01,10,12", "2025-03-02,0,3", "2025-03-03,,3", "2025-03-04,-1,0", "2025-03-05,9,-9",
        "2025-03-06,9,9", "2025-03-06,8,8", "2025-03-07,0,0", "03/08/2025,5,5",
    )  # fmt: skip
    reported = house.reasons("footfall")
    for row, part in {
        2: "buyers without visitors (3)",
        3: "the number of visitors is missing",
        4: "visitors is negative",
        5: "buyers is negative",
        6: "the day appears more than once",
        7: "the day appears more than once",
        9: "'03/08/2025' is not a day of the form YYYY-MM-DD",
    }.items():
        assert any(part in reason for reason in reported.pop(row)), row
    assert not reported
    # More buyers than visitors is no fault of the row: the report says what it can mean.
    assert [(row["day"], row["buyers"]) for row in house.clean("footfall")] == [
        (date(2025, 3, 1), 12),
        (date(2025, 3, 7), 0),
    ]


def test_footfall_without_days(house: House) -> None:
    entry = house.deliver("undated", "10,9", "10,9", "0,4")
    assert (entry.clean, entry.quarantined) == (2, 1)
    assert {row["day"] for row in house.clean("footfall")} == {UNDATED}
    house.deliver("undated", "11,9", name="b.csv")
    assert [row["visitors"] for row in house.clean("footfall")] == [11], "all rows without a day are one thing"


@pytest.mark.parametrize("table", ["visits", "people", "footfall"])
def test_every_expectation_has_a_reason(table: str) -> None:
    suite = json.loads((ROOT / "expectations" / f"{table}.json").read_text())
    assert suite["name"] == table
    assert all(expectation["meta"]["reason"] for expectation in suite["expectations"])
