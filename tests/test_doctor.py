"""The doctor finds every fault at once, and what the ledger says is held against the tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.contracts import CONTRACTS
from pipeline.doctor import examine, ledger_adds_up
from pipeline.errors import AisleError
from pipeline.ingestion import ledger
from pipeline.settings import Settings

NAME = "2025-03-03.csv"


@pytest.fixture
def well(till: Any, home: Settings) -> Settings:
    """A home with a registry and a delivery."""
    till.deliver(NAME, [till.line(1), till.line(2, quantity=0)])
    settings: Settings = till.settings
    return settings.model_copy(update={"tracking_uri": home.mlflow_uri})


def test_all_is_well(well: Settings) -> None:
    findings = examine(lambda: well)
    assert {f.what: f.well for f in findings} == dict.fromkeys(
        ("home", "source of transactions", "ledger of transactions", "registry"), True
    )
    assert "1 deliveries, 2 rows read" in findings[2].detail


def test_one_fault_does_not_hide_the_next(well: Settings) -> None:
    broken = well.model_copy(update={"home": "/proc/nowhere", "sources": well.sources.with_name("none.yaml")})
    broken = broken.model_copy(update={"tracking_uri": "nonsense://"})
    found = {f.what: f for f in examine(lambda: broken)}
    assert [what for what, f in found.items() if not f.well] == [
        "home",
        *(f"source of {table}" for table in CONTRACTS),
        "registry",
    ]
    assert all(f.detail for f in found.values())


def test_rows_that_are_missing_are_found(till: Any, well: Settings) -> None:
    none = till.lake.read("transactions.quarantine").slice(0, 0)
    till.lake.replace("transactions.quarantine", {"delivery": [f"till--{NAME}"]}, none)
    with pytest.raises(AisleError, match="1 clean and 1 quarantined, the tables hold 1 and 0"):
        ledger_adds_up(well, "transactions")


def test_an_entry_that_does_not_add_up_is_found(till: Any, well: Settings) -> None:
    (entry,) = ledger.entries(till.lake)
    ledger.record(till.lake, replace(entry, read=9))
    with pytest.raises(AisleError, match="9 rows read are not 1 clean"):
        ledger_adds_up(well, "transactions")
