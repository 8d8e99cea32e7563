"""The real store days, stores and plans: every row accounted for, and the clean tables are what the files say."""

from __future__ import annotations

from pathlib import Path

import ibis
import pytest

from benchmarks.stores import clean_tables
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.ledger import LedgerEntry
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

pytestmark = pytest.mark.open_data
ROOT = Path(__file__).resolve().parents[2]
PLANS_UNKNOWN = 11  # days of store 622 of which it is not said whether it is open


@pytest.fixture(scope="module")
def brought(open_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict[str, LedgerEntry]]:
    """A lake into which the published files were brought."""
    settings = Settings(
        home=str(tmp_path_factory.mktemp("rossmann")),
        sources=ROOT / "examples" / "open-data" / "sources.yaml",
        data=str(open_data),
        expectations=ROOT / "expectations",
    )
    entries = {}
    for table in ("store_days", "stores", "store_plans"):
        (delivery,) = ingestion.pending(settings, table)
        entries[table] = ingestion.ingest(settings, delivery).entry
    return settings, entries


def test_each_of_the_real_rows_is_accounted_for(brought: tuple[Settings, dict[str, LedgerEntry]]) -> None:
    _, entries = brought
    assert {table: (entry.read, entry.quarantined) for table, entry in entries.items()} == {
        "store_days": (1_017_209, 0),
        "stores": (1_115, 0),
        "store_plans": (41_088, PLANS_UNKNOWN),
    }
    assert all(entry.accounted_for for entry in entries.values())


def test_the_clean_tables_are_what_the_files_say(
    brought: tuple[Settings, dict[str, LedgerEntry]], open_data: Path
) -> None:
    settings, _ = brought
    con = engine.connect(settings)
    days, stores = clean_tables(con, open_data)
    wanted = {"store_days": days, "stores": stores.mutate(competition_distance=ibis._.competition_distance.cast(float))}
    for table, want in wanted.items():
        got = engine.table(con, Lake(settings), table).select(want.columns)
        assert got.count().execute() == want.count().execute()
        assert got.difference(want).count().execute() == 0, table
