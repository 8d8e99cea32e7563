"""Store days, stores and store plans: bad rows are quarantined with a reason, missing days stay missing."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.dates import UNDATED
from pipeline.errors import RefusedError, UsageError
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.ingestion.quarantine import export
from pipeline.ingestion.replay import replay
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from tests.suites import without_share_limit

ROOT = Path(__file__).resolve().parents[2]
SOURCES = """
time_zone: Europe/Berlin
home_country: Germany
tables:
  store_days:
    all: &days
      from: store_days/*
      ignore: [DayOfWeek]
      columns:
        store: Store
        day: Date
        sales: Sales
        customers: Customers
        open: &open {from: Open, values: {"": 1}}
        promo: Promo
        state_holiday: &holiday {from: StateHoliday, values: {0: none, a: public, b: easter, c: christmas}}
        school_holiday: SchoolHoliday
    daily: {<<: *days, from: "daily/{day}.csv"}
  stores:
    all:
      from: stores/*
      join: {from: states.csv, by: Store}
      columns:
        store: Store
        store_type: StoreType
        assortment: Assortment
        competition_distance: CompetitionDistance
        competition_since: {from: [CompetitionOpenSinceYear, CompetitionOpenSinceMonth], format: "%Y %m"}
        promo2: Promo2
        promo2_since: {from: [Promo2SinceYear, Promo2SinceWeek], format: "%G %V"}
        promo2_months: {from: PromoInterval, values: {"Mar,Jun,Sept,Dec": "Mar,Jun,Sep,Dec"}}
        state: State
  store_plans:
    all:
      from: store_plans/*
      ignore: [Id]
      columns: {store: Store, day: Date, open: Open, promo: Promo, state_holiday: *holiday,
        school_holiday: SchoolHoliday}
"""
HEADERS = {
    "store_days": "Store,DayOfWeek,Date,Sales,Customers,Open,Promo,StateHoliday,SchoolHoliday",
    "stores": "Store,StoreType,Assortment,CompetitionDistance,CompetitionOpenSinceMonth,CompetitionOpenSinceYear,"
    "Promo2,Promo2SinceWeek,Promo2SinceYear,PromoInterval",
    "store_plans": "Id,Store,Date,Open,Promo,StateHoliday,SchoolHoliday",
}
STATES = 'Store,State\n1,HE\n2.0,"HB,NI"\n'


@dataclass(frozen=True)
class Chain:
    """A chain whose deliveries a test writes by hand."""

    settings: Settings
    folder: Path

    def deliver(self, table: str, *lines: str, name: str = "a.csv", source: str = "all") -> LedgerEntry:
        text = "\n".join([HEADERS[table], *lines]) + "\n"
        return self.deliver_bytes(table, text.encode(), name, source)

    def deliver_bytes(self, table: str, data: bytes, name: str = "a.csv", source: str = "all") -> LedgerEntry:
        path = self.folder / (table if source == "all" else source) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        found = ingestion.pending(self.settings, table, source)
        return ingestion.ingest(self.settings, next(d for d in found if d.name == name)).entry

    def reasons(self, table: str) -> dict[int, str]:
        rows = Lake(self.settings).read(f"{table}.quarantine").to_pylist()
        return {row["row"]: "; ".join(row["reasons"]) for row in rows}

    def clean(self, table: str) -> list[dict[str, Any]]:
        rows = Lake(self.settings).read(table).to_pylist()
        return sorted(rows, key=lambda row: (row["delivery"], row["row"]))

    def page(self, entry: LedgerEntry) -> str:
        return Lake(self.settings).path("reports", "validation", entry.table, f"{entry.delivery}.html").read_text()


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    (tmp_path / "sources.yaml").write_text(SOURCES)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "states.csv").write_text(STATES)
    settings = Settings(
        home=str(tmp_path / "home"),
        sources=tmp_path / "sources.yaml",
        data=str(tmp_path / "data"),
        expectations=without_share_limit(tmp_path / "expectations"),
    )
    return Chain(settings, tmp_path / "data")


def assert_reasons(reported: dict[int, str], expected: dict[int, str]) -> None:
    """Each row in quarantine has its reason, and no other row is there."""
    assert set(reported) == set(expected), reported
    for row, part in expected.items():
        assert part in reported[row], (row, reported[row])


def test_store_days_each_bad_row_with_its_reason(chain: Chain) -> None:
    entry = chain.deliver(
        "store_days",
        "1,5,2015-07-31,5263,555,1,1,0,1",
        "2,5,2015-07-31,100,10,0,0,a,0",  # closed
        "3,5,2015-07-31,-1,10,1,1,0,1",
        "4,5,2015-07-31,1,-10,1,1,0,1",
        "5,5,2015-07-31,1,1,1,1,0,1",
        "5,5,2015-07-31,2,1,1,1,0,1",  # the day twice
        "6,5,2015-07-31,1,1,1,1,d,1",
        "7,5,2015-07-31,much,1,1,1,0,1",
        "8,5,2015-07-32,1,1,1,1,0,1",
        "9,5,2015-07-31,,1,1,1,0,1",
        ",5,2015-07-31,1,1,1,1,0,1",
        "11,5,2015-07-31,1,1,perhaps,1,0,1",
        "12,5,2015-07-31,1,1,1,,0,1",
        "13,5,2015-07-31,1,1,1,1,,1",
        "14,5,2015-07-31,1,1,1,1,0,",
        "15,5,2115-07-31,1,1,1,1,0,1",
        "16,5,1915-07-31,1,1,1,1,0,1",
        "17,5,2015-07-31,0,3,0,1,0,1",
        "-18,5,2015-07-31,1,1,1,1,0,1",
        "19,5,2015-07-31,1e10,1,1,1,0,1",
        "20,5,2015-07-31,0,0,1,1,b,0",  # open without sales
        "21,5,2015-07-31,0,,0,1,c,0",
        "22,5,2015-07-31,0,0",
    )
    assert_reasons(
        chain.reasons("store_days"),
        {
            2: "sales while the store was closed (100.0)",
            3: "the sales are negative (-1.0)",
            4: "customers is negative or beyond ten million (-10)",
            5: "the store's day appears more than once (5, 2015-07-31",
            6: "the store's day appears more than once (5, 2015-07-31",
            7: "the state holiday is not one of none, public, easter, christmas (d)",
            8: "'much' is not a finite number",
            9: "'2015-07-32' is not a day of the form YYYY-MM-DD",
            10: "the sales are missing",
            11: "the store's number is missing",
            12: "'perhaps' is neither true nor false",
            13: "whether there is a promotion is missing",
            14: "the state holiday is missing",
            15: "whether there are school holidays is missing",
            16: "the day is after it was delivered",
            17: "the day is before the year 2000",
            18: "customers while the store was closed (3)",
            19: "the store's number is negative (-18)",
            20: "the sales are beyond a billion",
            23: "5 fields instead of 9",
        },
    )
    assert (entry.read, entry.clean, entry.quarantined) == (23, 3, 20)
    rows = chain.clean("store_days")
    assert [(row["store"], row["state_holiday"], row["open"]) for row in rows] == [
        (1, "none", True),
        (20, "easter", True),
        (21, "christmas", False),
    ]
    assert (rows[0]["sales"], rows[0]["customers"], rows[2]["customers"]) == (5263.0, 555, None)
    # Only the warning is reported.
    page = chain.page(entry)
    assert "warning: open without sales" in page
    assert "warning: 1 row" in page


def test_a_warning_alone_quarantines_nothing(chain: Chain) -> None:
    entry = chain.deliver("store_days", "1,5,2015-07-31,0,0,1,1,0,1", "2,5,2015-07-31,5,1,1,1,0,1")
    assert (entry.clean, entry.quarantined) == (2, 0)
    assert not Lake(chain.settings).exists("store_days.quarantine")


def test_a_missing_day_stays_missing(chain: Chain) -> None:
    chain.deliver("store_days", "1,1,2014-06-30,5,1,1,1,0,1", "1,4,2015-01-01,0,0,0,0,a,1")
    assert [(row["day"], row["sales"]) for row in chain.clean("store_days")] == [
        (dt.date(2014, 6, 30), 5.0),
        (dt.date(2015, 1, 1), 0.0),
    ]


def test_a_truncated_delivery_is_refused_and_removes_nothing(chain: Chain) -> None:
    good = "1,5,2015-07-31,5263,555,1,1,0,1"
    chain.deliver("store_days", good)
    whole = f"{HEADERS['store_days']}\n{good}\n2,5,2015-07-31,6,5,1,1,0,1\n".encode()
    with pytest.raises(RefusedError, match="ends in the middle of a line"):
        chain.deliver_bytes("store_days", whole[:-5])
    with pytest.raises(RefusedError, match="damaged or ends early"):
        chain.deliver_bytes("store_days", gzip.compress(whole)[:-12], "b.csv.gz")
    assert len(chain.clean("store_days")) == 1


def test_a_stale_delivery_is_refused(chain: Chain) -> None:
    with pytest.raises(RefusedError, match="there are no rows of the last day that the delivery is for: it is stale"):
        chain.deliver("store_days", "1,5,2015-07-30,5,1,1,1,0,1", name="2015-07-31.csv", source="daily")


def test_a_delivery_of_far_fewer_stores_is_refused(chain: Chain) -> None:
    for day in range(1, 9):
        lines = [f"{store},1,2015-07-0{day},5,1,1,1,0,1" for store in range(20 if day < 8 else 1)]
        if day < 8:
            chain.deliver("store_days", *lines, name=f"2015-07-0{day}.csv", source="daily")
    with pytest.raises(RefusedError, match="the number of rows is out of line with the recent days"):
        chain.deliver("store_days", *lines, name="2015-07-08.csv", source="daily")


def test_an_empty_cell_can_be_given_a_value(chain: Chain) -> None:
    chain.deliver("store_days", "1,5,2015-07-31,5,1,,1,0,1")
    assert [row["open"] for row in chain.clean("store_days")] == [True]


def test_the_newest_delivery_of_a_store_and_day_counts(chain: Chain) -> None:
    for name, sales in (("a.csv", 5), ("b.csv", 6)):
        chain.deliver("store_days", f"1,5,2015-07-31,{sales},1,1,1,0,1", name=name)
    assert [row["sales"] for row in chain.clean("store_days")] == [6.0]


def test_stores_with_dates_in_parts_and_a_joined_state(chain: Chain) -> None:
    chain.deliver(
        "stores",
        '1,c,a,1270,9,2008,1,13,2010,"Jan,Apr,Jul,Oct"',
        '2,kiosk,everything,,,,1,53.0,2015.0,"Mar,Jun,Sept,Dec"',
        "3,a,a,20,,,0,,,",
    )
    first, second, third = chain.clean("stores")
    assert first == {
        "store": 1, "store_type": "c", "assortment": "a", "competition_distance": 1270.0,
        "competition_since": dt.date(2008, 9, 1), "promo2": True, "promo2_since": dt.date(2010, 3, 29),
        "promo2_months": "Jan,Apr,Jul,Oct", "state": "HE", "delivery": "all--a.csv", "row": 1, "day": UNDATED,
    }  # fmt: skip
    # Types and assortments are kept as they are; numbers may have been through a spreadsheet.
    assert (second["store_type"], second["state"], second["promo2_months"]) == ("kiosk", "HB,NI", "Mar,Jun,Sep,Dec")
    assert (second["promo2_since"], second["competition_since"]) == (dt.date(2015, 12, 28), None)
    assert (third["state"], third["promo2"], third["promo2_since"]) == (None, False, None)


def test_stores_each_bad_row_with_its_reason(chain: Chain) -> None:
    chain.deliver(
        "stores",
        "1,c,a,1270,,2008,0,,,",  # a year without a month
        "2,c,a,1270,13,2008,0,,,",
        "3,c,a,1270,1,2008,1,53,2014,",  # 2014 had 52 weeks
        "4,c,a,1270,1,2008,1,0,2014,",
        "5,c,a,-1,1,2008,1,1,2014,",
        "6,,a,1,1,2008,1,1,2014,",
        "7,c,,1,1,2008,1,1,2014,",
        "8,c,a,1,1,2008,,1,2014,",
        '9,c,a,1,1,2008,1,1,2014,"January,May"',
        "10,c,a,1,1,2008,0,,,",
        "10,d,a,1,1,2008,0,,,",
        "11,c,a,1,1,2008,0,,,",
    )
    assert_reasons(
        chain.reasons("stores"),
        {
            1: "competition_since: '2008' is not a day of the form %Y %m",
            2: "competition_since: '2008 13' is not a day of the form %Y %m",
            3: "promo2_since: '2014 53' is not a day of the form %G %V",
            4: "promo2_since: '2014 0' is not a day of the form %G %V",
            5: "the distance to the competitor is negative",
            6: "the store's type is missing",
            7: "the assortment is missing",
            8: "takes part in the continuing promotion is missing",
            9: "the months are not written like Jan,Apr,Jul,Oct (January,May)",
            10: "the store appears more than once",
            11: "the store appears more than once",
        },
    )
    assert [row["store"] for row in chain.clean("stores")] == [11]


def test_a_corrected_store_keeps_its_joined_columns(chain: Chain) -> None:
    entry = chain.deliver("stores", "1,c,a,-1,1,2008,0,,,", "2,c,a,5,1,2008,0,,,")
    text = export(chain.settings, "stores", entry.delivery)
    header, line = text.splitlines()
    assert header == f"_row,_reasons,{HEADERS['stores']},State"
    assert line.startswith("1,")
    assert line.endswith("1,c,a,-1,1,2008,0,,,,HE")
    replay(chain.settings, "stores", entry.delivery, text.replace(",-1,", ",1,"))
    assert [(row["state"], row["competition_distance"]) for row in chain.clean("stores")] == [
        ("HB,NI", 5.0),
        ("HE", 1.0),
    ], "in the order of the deliveries' names: what was corrected comes after"


def test_a_delivery_is_ingested_again_when_the_joined_file_changes(chain: Chain) -> None:
    line, states = "1,c,a,1,1,2008,0,,,", chain.folder / "states.csv"
    first = chain.deliver("stores", line)
    assert chain.deliver("stores", line) == first
    states.write_text("Store,State\n1,BY\n")
    chain.deliver("stores", line)
    assert [row["state"] for row in chain.clean("stores")] == ["BY"]
    kept = Lake(chain.settings).path("raw", "stores", first.delivery).glob("*states.csv")
    assert {path.read_text() for path in kept} == {STATES, states.read_text()}, "both are kept as they came"


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ("Store,State\n1,HE\n1.0,BY\n", "'1' is in 2 rows of the file"),
        ("Shop,State\n1,HE\n", "the file has no column 'Store'"),
        ("Store,State,StoreType\n1,HE,a\n", "both have a column 'StoreType'"),
        ("Store,State\n1,HE\n2\n", "row 2 of the file has 1 fields instead of 2"),
        ("Store,State\n1,H", "ends in the middle of a line"),
        ("Store,Region\n1,HE\n", "missing 'State' (mapped to state"),
    ],
)
def test_a_file_that_cannot_be_joined_refuses_the_delivery(chain: Chain, states: str, message: str) -> None:
    (chain.folder / "states.csv").write_text(states)
    with pytest.raises(RefusedError) as refusal:
        chain.deliver("stores", "1,c,a,1,1,2008,0,,,")
    assert message in str(refusal.value)


def test_a_missing_file_to_join_is_an_error_before_anything_runs(chain: Chain) -> None:
    (chain.folder / "states.csv").unlink()
    (chain.folder / "stores").mkdir()
    with pytest.raises(UsageError, match=r"sources.yaml:22: stores.all: .*states.csv does not exist"):
        ingestion.pending(chain.settings, "stores")


def test_store_plans_each_bad_row_with_its_reason(chain: Chain) -> None:
    entry = chain.deliver(
        "store_plans",
        "1,1,2095-08-01,1,1,0,0",  # ahead, as plans are
        "2,2,2095-08-01,,1,0,0",
        "3,3,2095-08-01,1,1,x,0",
        "4,4,2195-08-01,1,1,0,0",
        "5,5,2095-08-01,1,1,0,0",
        "6,5,2095-08-01,0,1,0,0",
    )
    assert_reasons(
        chain.reasons("store_plans"),
        {
            2: "whether the store is open is missing",
            3: "the state holiday is not one of none, public, easter, christmas (x)",
            4: "the day is after the year 2100",
            5: "the store's day appears more than once",
            6: "the store's day appears more than once",
        },
    )
    assert (entry.clean, entry.quarantined) == (1, 5)
    # A plan that is changed.
    chain.deliver("store_plans", "1,1,2095-08-01,0,0,c,0", name="b.csv")
    assert [(row["open"], row["state_holiday"]) for row in chain.clean("store_plans")] == [(False, "christmas")]


@pytest.mark.parametrize("table", ["store_days", "stores", "store_plans"])
def test_every_expectation_has_a_reason(table: str) -> None:
    suite = json.loads((ROOT / "expectations" / f"{table}.json").read_text())
    assert suite["name"] == table
    assert all(expectation["meta"]["reason"] for expectation in suite["expectations"])
