"""The ledger: one entry for each delivery with certain bytes, what was replaced stays on record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.ingestion import ledger
from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

ENTRY = LedgerEntry("transactions", "till--a", "till", "aa", "rules", "raw/a", 10, datetime(2025, 3, 3))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Settings(home=str(tmp_path)))


def test_an_empty_lake_has_no_entries(lake: Lake) -> None:
    assert ledger.entries(lake) == []


def test_an_entry_comes_back_as_it_was_written(lake: Lake) -> None:
    entry = replace(ENTRY, status=Status.REFUSED, read=3, corrects="till--b", reason="stale")
    ledger.record(lake, entry)
    assert ledger.entries(lake, "transactions", "till--a") == [entry]
    assert ledger.entries(lake, "transactions", "till--b") == ledger.entries(lake, "visits") == []


def test_what_is_committed_replaces_what_the_delivery_brought_before(lake: Lake) -> None:
    later = replace(ENTRY, sha256="bb", landed_at=datetime(2025, 3, 4))
    for entry in (ENTRY, replace(ENTRY, status=Status.COMMITTED), later):
        ledger.record(lake, entry)
    assert [e.status for e in ledger.entries(lake)] == [Status.COMMITTED, Status.LANDED]
    ledger.record(lake, replace(later, status=Status.COMMITTED))
    assert [(e.sha256, e.status) for e in ledger.entries(lake)] == [("aa", Status.REPLACED), ("bb", Status.COMMITTED)]


def test_the_same_bytes_under_other_rules_are_another_entry(lake: Lake) -> None:
    ledger.record(lake, replace(ENTRY, status=Status.COMMITTED))
    ledger.record(lake, replace(ENTRY, rules="other", status=Status.COMMITTED))
    assert {e.rules: e.status for e in ledger.entries(lake)} == {"rules": Status.REPLACED, "other": Status.COMMITTED}


def test_what_was_refused_stays_refused(lake: Lake) -> None:
    ledger.record(lake, replace(ENTRY, status=Status.REFUSED))
    ledger.record(lake, replace(ENTRY, sha256="bb", status=Status.COMMITTED))
    assert {e.sha256: e.status for e in ledger.entries(lake)} == {"aa": Status.REFUSED, "bb": Status.COMMITTED}


def test_entries_written_at_once_are_all_there(lake: Lake) -> None:
    ledger.record(lake, ENTRY)
    new = [replace(ENTRY, sha256=str(n)) for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda entry: ledger.record(lake, entry), new))
    assert {e.sha256 for e in ledger.entries(lake)} == {"aa", *map(str, range(6))}


@pytest.mark.parametrize(("read", "expected"), [(6, True), (7, False), (5, False)])
def test_every_row_must_be_somewhere(read: int, expected: bool) -> None:
    assert replace(ENTRY, read=read, clean=3, quarantined=2, repeats=1).accounted_for is expected
