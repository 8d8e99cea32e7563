"""`aisle repair` and `aisle ingest --force`: what cannot be rebuilt stays as it is, and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import RefusedError
from pipeline.ingestion import ledger, quarantine
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import Status
from pipeline.ingestion.repair import repair
from pipeline.ingestion.replay import replay

NAME = "2025-03-03.csv"
ID = f"till--{NAME}"


def lose_received_rows(till: Any) -> None:
    empty = till.lake.read("transactions.received")[:0]
    till.lake.replace("transactions.received", {"delivery": [ID]}, empty)


def test_a_dry_run_says_what_differs_and_writes_nothing(till: Any) -> None:
    till.deliver(NAME, [till.line(1), till.line(2)])
    lose_received_rows(till)
    version = till.lake.version("transactions.received")
    done = repair(till.settings, "transactions", dry_run=True)
    assert done.deliveries == {ID: "transactions.received: 0 rows instead of 2, or other values"}
    assert till.lake.version("transactions.received") == version
    assert repair(till.settings, "transactions").deliveries == done.deliveries
    assert repair(till.settings, "transactions", dry_run=True).deliveries == {}


def test_a_delivery_whose_bytes_are_gone_stays_as_it_is(till: Any) -> None:
    entry = till.deliver(NAME, [till.line(1), till.line(2)])
    before = till.clean()
    till.lake.path(entry.blob).unlink()
    done = repair(till.settings, "transactions")
    assert list(done.failed) == [ID]
    assert till.clean() == before


def test_damaged_bytes_of_the_right_size_are_not_used(till: Any) -> None:
    entry = till.deliver(NAME, [till.line(1), till.line(2)])
    before = till.clean()
    path = till.lake.path(entry.blob)
    path.write_bytes(path.read_bytes().replace(b"1.5", b"9.5"))
    done = repair(till.settings, "transactions")
    assert "The raw bytes are damaged" in done.failed[ID]
    assert till.clean() == before


def test_an_accepted_delivery_is_rebuilt_though_it_would_be_refused_today(till: Any) -> None:
    till.deliver(NAME, [till.line(1), till.line(2, quantity=0)])
    before = till.clean()
    suite = till.settings.expectations / "transactions.json"
    suite.write_text(json.dumps(json.loads(suite.read_text()) | {"meta": {"max_quarantined_share": 0}}))
    lose_received_rows(till)
    done = repair(till.settings, "transactions")
    assert "the mapping or the suite has changed" in done.deliveries[ID]
    assert till.clean() == before


def test_a_joined_file_is_taken_from_the_raw_bytes(till: Any) -> None:
    sources = till.settings.sources
    joined = "from: transactions/{day}.csv\n      join: {from: prices.csv, by: StockCode}"
    sources.write_text(sources.read_text().replace("from: transactions/{day}.csv", joined))
    header, line = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,CustomerID,Country\n", "{},10001,x,1,{},7,UK\n"
    data = header + line.format(1, "2025-03-03 10:00:00") + line.format(2, "2025-03-03 11:00:00")
    (till.folder / "prices.csv").write_text("StockCode,UnitPrice\n10001,2.5\n")
    till.deliver(NAME, data.encode())
    before = till.clean()
    assert {row["unit_price"] for row in till.lake.read("transactions").to_pylist()} == {2.5}
    (till.folder / "prices.csv").unlink()
    lose_received_rows(till)
    assert list(repair(till.settings, "transactions").deliveries) == [ID]
    assert till.clean() == before


def test_a_delivery_under_way_is_left_alone(till: Any) -> None:
    till.deliver(NAME, [till.line(1), till.line(2)])
    till.write(NAME, [till.line(3)])
    ingestion.check(till.settings, ingestion.land(till.settings, till.found(NAME)))
    done = repair(till.settings, "transactions")
    assert (done.deliveries, done.days) == ({}, ())
    assert till.deliver(NAME, [till.line(3)]).status is Status.COMMITTED
    assert till.clean("invoice") == [("3",)]


def test_there_is_nothing_to_repair_without_a_ledger(till: Any) -> None:
    with pytest.raises(RefusedError, match="nothing to rebuild"):
        repair(till.settings, "transactions")


def test_force_checks_a_committed_delivery_again(till: Any) -> None:
    first = till.deliver(NAME, [till.line(1), till.line(2)])
    lose_received_rows(till)
    with pytest.raises(RefusedError, match="the tables do not hold its rows"):
        ingestion.ingest(till.settings, till.found(NAME))
    done = ingestion.ingest(till.settings, till.found(NAME), force=True)
    assert (done.unchanged, done.entry) == (False, first)
    assert till.lake.read("transactions.received").num_rows == 2


def test_force_says_which_corrections_no_longer_apply(till: Any) -> None:
    till.deliver(NAME, [till.line(1), till.line(2, quantity=0)])
    rows = quarantine.export(till.settings, "transactions", ID).replace("a thing,0", "a thing,5")
    correction = replay(till.settings, "transactions", ID, rows)
    done = ingestion.ingest(till.settings, till.found(NAME), force=True)
    (warning,) = done.warnings
    assert correction.delivery in warning
    assert till.clean("invoice") == [("1",)]
    replay(till.settings, "transactions", ID, rows)
    assert till.clean("invoice", "quantity") == [("1", 1), ("2", 5)]


def test_what_is_forced_and_refused_stays_committed(till: Any) -> None:
    for day in range(1, 9):
        till.deliver(f"2025-03-0{day}.csv", [till.line(n, day=f"2025-03-0{day}") for n in range(2)])
    first = ledger.entries(till.lake, "transactions", "till--2025-03-08.csv")
    for day in range(1, 8):
        till.deliver(f"2025-03-0{day}.csv", [till.line(n, day=f"2025-03-0{day}") for n in range(100)])
    with pytest.raises(RefusedError, match="out of line with the recent days"):
        ingestion.ingest(till.settings, till.found("2025-03-08.csv"), force=True)
    assert ledger.entries(till.lake, "transactions", "till--2025-03-08.csv") == first
    assert till.lake.row_counts("transactions", "day")["2025-03-08"] == 2
