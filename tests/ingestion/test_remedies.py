"""The command that ingests a delivery again names what its source offers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.ingestion import ledger
from pipeline.ingestion.remedies import ingest_command, raw_remedy
from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("delivery", "days"),
    [
        ("door--2024-02-01_2024-02-20.csv", "--from 2024-02-01 --until 2024-02-20"),
        ("door--2024-02-05.csv", "--day 2024-02-05"),
    ],
)
def test_of_a_simulated_source_the_days_are_named(till: Any, delivery: str, days: str) -> None:
    entry = till.deliver("2025-03-03.csv", [till.line()])
    simulated = replace(entry, table="footfall", source="door", delivery=delivery)
    settings = Settings(home=till.settings.home, sources=ROOT / "sources.yaml")
    assert ingest_command(settings, simulated) == f"aisle ingest footfall --source door {days}"


def test_of_files_all_are_offered(till: Any) -> None:
    till.deliver("2025-03-03.csv", [till.line()])
    (entry,) = ledger.entries(till.lake)
    assert ingest_command(till.settings, entry) == "aisle ingest transactions --source till --all"
    assert raw_remedy(till.settings, entry).startswith(ingest_command(till.settings, entry))
