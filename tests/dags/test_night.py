"""A night through the DAGs themselves: every task runs as Airflow runs it, on a simulated shop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest
import yaml
from airflow.sdk import DAG
from airflow.utils.state import DagRunState

from pipeline.ingestion import ledger
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.settings import Settings, load_settings

PROJECT = Path(__file__).resolve().parents[2]
NEXT = date(2025, 3, 3)
RunDag = Callable[[str, dict[str, object], date], str]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home and a shop of their own, as the environment of a worker would name them."""
    home = tmp_path_factory.mktemp("night")
    spec = yaml.safe_load((PROJECT / "sources.yaml").read_text(encoding="utf-8"))
    spec["tables"]["transactions"]["till"]["from"] = "simulate://shop?seed=7&customers=900&opened=2024-09-02"
    (home / "sources.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AISLE_HOME", str(home))
        patch.setenv("AISLE_SOURCES", str(home / "sources.yaml"))
        patch.setenv("AISLE_EXPECTATIONS", str(PROJECT / "expectations"))
        yield load_settings()


def test_a_night_from_a_delivery_to_a_drift_report(run_dag: RunDag, shop: Settings) -> None:
    def run(dag_id: str, form: dict[str, object], night: int) -> str:
        return run_dag(dag_id, form, date(2025, 3, night))

    lake = Lake(shop)
    run("ingest_transactions", {"from": "2024-09-02", "until": str(NEXT)}, 1)
    (history,) = ledger.entries(lake, "transactions")
    assert history.accounted_for
    assert history.clean == sum(lake.row_counts("transactions", "day").values()) > 10_000

    trained_by = run("train_customer_segments", {"as_of": str(NEXT)}, 2)
    champion = Registry(shop).champion("customer_segments")
    assert champion is not None
    assert champion.provenance.as_of == NEXT
    assert trained_by in Registry(shop).history("customer_segments")[-1].by

    run("ingest_transactions", {"from": str(NEXT), "until": "2025-03-04"}, 3)
    run("customers", {}, 3)
    assert lake.days("customer_segments") == [date(2025, 3, 4)]
    assert (shop.home_path / "reports/customers/2025-03-04.html").exists()

    run("watch", {}, 3)
    summary = json.loads((shop.home_path / "reports/drift/customer_segments/2025-03-04.json").read_text())
    assert summary["verdict"] == "no drift"
    assert summary["reference"]["as_of"] == str(NEXT)
    assert "The state as of 2025-03-04" in (shop.home_path / "reports/index.html").read_text()

    # The same night once more changes nothing.
    before = {table: lake.version(table) for table in ("transactions", "transactions.received", "ledger")}
    run("ingest_transactions", {"from": str(NEXT), "until": "2025-03-04"}, 4)
    assert {table: lake.version(table) for table in before} == before

    run("housekeeping", {}, 5)
    assert lake.row_counts("transactions", "day")[str(NEXT)] > 0


@pytest.mark.usefixtures("airflow_database")
def test_days_in_the_wrong_order_fail_the_run(dags: dict[str, DAG], shop: Settings) -> None:
    finished = dags["ingest_transactions"].test(run_conf={"from": "2025-03-04", "until": "2025-03-03"})
    assert finished.state == DagRunState.FAILED
