"""The real lines: each accounted for, and the same table from one file as from a file a day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from pipeline.contracts import CONTRACTS
from pipeline.ingestion import ledger
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

pytestmark = pytest.mark.open_data
ROOT = Path(__file__).resolve().parents[2]
DAYS = 40
CONTRACT = [n for n in CONTRACTS["transactions"].schema.names if n not in ("delivery", "row")]


def settings_of(home: Path, data: Path) -> Settings:
    sources = ROOT / "examples" / "open-data" / "sources.yaml"
    return Settings(home=str(home), sources=sources, data=str(data), expectations=ROOT / "expectations")


def write_days(open_data: Path, folder: Path, days: int | None = None) -> list[date]:
    """A CSV a day, as a till would deliver them; the first `days` or all."""
    folder.mkdir(parents=True)
    con = duckdb.connect()
    con.sql(f"CREATE TABLE t AS SELECT *, CAST(InvoiceDate AS DATE) AS _day FROM '{open_data}/online_retail.parquet'")
    found = [day for (day,) in con.sql("SELECT DISTINCT _day FROM t ORDER BY 1").fetchall()][:days]
    for day in found:
        con.sql(f"SELECT * EXCLUDE _day FROM t WHERE _day = DATE '{day}'").write_csv(str(folder / f"{day}.csv"))
    return found


@pytest.fixture(scope="module")
def whole(open_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake into which the one file was brought."""
    settings = settings_of(tmp_path_factory.mktemp("whole"), open_data)
    (delivery,) = ingestion.pending(settings, "transactions")
    ingestion.ingest(settings, delivery)
    return settings


def test_each_of_the_real_rows_is_accounted_for(whole: Settings) -> None:
    (entry,) = ledger.entries(Lake(whole))
    assert (entry.read, entry.repeats) == (541_909, 5_268)
    assert entry.accounted_for
    lake = Lake(whole)
    assert sum(lake.row_counts("transactions", "day").values()) == entry.clean
    held = lake.read("transactions.quarantine").to_pylist() if entry.quarantined else []
    assert len(held) == entry.quarantined
    assert all(row["reasons"] for row in held)


def test_a_file_a_day_gives_the_same_table_as_one_file(whole: Settings, open_data: Path, tmp_path: Path) -> None:
    days = write_days(open_data, tmp_path / "data" / "drops" / "transactions", DAYS)
    settings = settings_of(tmp_path / "home", tmp_path / "data")
    # Half of them backwards and one twice: that they are days is all that matters.
    deliveries = ingestion.pending(settings, "transactions", "online-retail-days")
    for delivery in [*deliveries[: DAYS // 2], *reversed(deliveries[DAYS // 2 :]), deliveries[3]]:
        ingestion.ingest(settings, delivery)
    assert all(entry.accounted_for for entry in ledger.entries(Lake(settings)))
    tables = [
        Lake(s).read("transactions", where={"day": days}).select(CONTRACT).sort_by([(n, "ascending") for n in CONTRACT])
        for s in (whole, settings)
    ]
    assert tables[0].num_rows > 70_000
    assert tables[0].equals(tables[1])
