"""Store sales through the DAGs themselves: a night comes in, candidates are tried, the morning has a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as csv
import pytest
import yaml

from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.settings import Settings, load_settings
from pipeline.simulate import chain

PROJECT = Path(__file__).resolve().parents[2]
FIRST, NIGHT = date(2023, 1, 2), date(2024, 7, 1)
MORNING = NIGHT + timedelta(days=1)
STORES = 8

RUN_DATE = date(2024, 7, 2)
RunDag = Callable[[str, dict[str, object], date], str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with a year and a half of store days, delivered in one file, before the first night."""
    folder = tmp_path_factory.mktemp("stores")
    sources = yaml.safe_load((PROJECT / "sources.yaml").read_text().replace("stores=40", f"stores={STORES}"))
    past = sources["tables"]["store_days"]["tills"] | {"from": "past.csv"}
    sources["tables"]["store_days"]["past"] = past
    (folder / "sources.yaml").write_text(yaml.safe_dump(sources, sort_keys=False))
    rows: pa.Table = chain.store_days(f"simulate://store_days?stores={STORES}", FIRST, NIGHT)
    csv.write_csv(rows, folder / "past.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AISLE_HOME", str(folder / "home"))
        patch.setenv("AISLE_DATA", str(folder))
        patch.setenv("AISLE_SOURCES", str(folder / "sources.yaml"))
        patch.setenv("AISLE_EXPECTATIONS", str(PROJECT / "expectations"))
        settings = load_settings()
        for delivery in ingestion.pending(settings, "store_days", "past"):
            ingestion.ingest(settings, delivery)
        yield settings


def test_a_night_of_stores(run_dag: RunDag, home: Settings) -> None:
    lake = Lake(home)
    for table in ("stores", "store_plans", "store_days"):
        run_dag(f"ingest_{table}", {"from": str(NIGHT), "until": str(MORNING), "source": None}, RUN_DATE)
    assert lake.days("store_days")[-1] == NIGHT

    run_dag(
        "train_store_sales",
        {"as_of": str(MORNING), "seed": 7, "candidates": ["linear_store", "gradient_boosting"]},
        RUN_DATE,
    )
    tried = lake.read("store_trials", where={"as_of": [MORNING]})
    assert set(tried["candidate"].to_pylist()) == {"linear_store", "gradient_boosting"}
    champion = Registry(home).champion("store_sales")
    assert champion is not None
    assert champion.provenance.as_of == MORNING

    run_dag("stores", {"from": None, "until": None}, RUN_DATE)
    forecasts = lake.read("store_forecasts")
    assert forecasts.num_rows == STORES * 42
    assert set(forecasts["as_of"].to_pylist()) == {MORNING}
    page = (home.home_path / f"reports/stores/{MORNING}.html").read_text()
    assert "gradient boosting" in page
