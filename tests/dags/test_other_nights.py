"""Shoppers and footfall through the DAGs themselves: every task runs as Airflow runs it, on the simulated sources."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.utils.state import DagRunState

from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.settings import Settings, load_settings
from pipeline.training.monitored import Performance, RetrainPolicy
from pipeline.training.spec import ModelSpec

PROJECT = Path(__file__).resolve().parents[2]
FIRST, NEXT = date(2024, 1, 1), date(2024, 7, 1)
SEED = 11

RUN_DATE = date(2024, 7, 1)
RunDag = Callable[[str, dict[str, object], date], str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home of its own, as the environment of a worker would name it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AISLE_HOME", str(tmp_path_factory.mktemp("nights")))
        patch.setenv("AISLE_SOURCES", str(PROJECT / "sources.yaml"))
        patch.setenv("AISLE_EXPECTATIONS", str(PROJECT / "expectations"))
        patch.setenv("AISLE_SEED", str(SEED))
        yield load_settings()


def test_a_night_of_footfall(run_dag: RunDag, home: Settings) -> None:
    run_dag("ingest_footfall", {"from": str(FIRST), "until": str(NEXT)}, RUN_DATE)
    run_dag("train_footfall_buyers", {"as_of": str(NEXT)}, RUN_DATE)
    champion = Registry(home).champion("footfall_buyers")
    assert champion is not None
    assert champion.provenance.as_of == NEXT
    assert champion.provenance.seed == SEED, "the form is empty, so the setting holds"
    run_dag("footfall", {}, RUN_DATE)
    assert Lake(home).days("footfall_predictions") == [NEXT]
    assert (home.home_path / f"reports/footfall/{NEXT}.html").exists()


def test_a_night_of_shoppers(run_dag: RunDag, home: Settings) -> None:
    run_dag("ingest_visits", {"from": str(FIRST), "until": str(NEXT)}, RUN_DATE)
    run_dag("ingest_people", {"from": str(FIRST), "until": "2024-01-02"}, RUN_DATE)
    for model in ("purchase_probability", "brand_choice", "purchase_quantity", "people_segments"):
        run_dag(f"train_{model}", {"as_of": str(NEXT)}, RUN_DATE)
        assert Registry(home).champion(model) is not None, model
    run_dag("shoppers", {}, RUN_DATE)
    assert Lake(home).days("shopper_scores") == [NEXT]
    assert (home.home_path / f"reports/shoppers/{NEXT}.html").exists()


def test_a_watch_by_hand_looks_at_every_domain_that_has_scored(run_dag: RunDag, home: Settings) -> None:
    run_dag("watch", {}, RUN_DATE)
    for model in ("footfall_buyers", "purchase_probability", "brand_choice", "purchase_quantity", "people_segments"):
        summary = json.loads((home.home_path / f"reports/drift/{model}/{NEXT}.json").read_text())
        assert (summary["verdict"], summary["retrain"]) == ("nothing to compare yet", False), summary


def test_one_domain_that_cannot_be_watched_does_not_stop_the_others(
    dags: dict[str, DAG], home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.footfall import specs as footfall
    from pipeline.shoppers import specs as shoppers

    def broken(*_: Any) -> None:
        raise RefusedError("the counter is broken")

    def monitored(spec: ModelSpec[Any], **changes: Any) -> ModelSpec[Any]:
        return replace(spec, monitored=replace(spec.monitored, **changes))

    eager = monitored(
        shoppers.PURCHASE_PROBABILITY,
        performance=lambda *_: Performance("log_loss", 9.0, 0.5, 300, 1.2),
        policy=RetrainPolicy(needed=1, cooldown_days=0),
    )
    monkeypatch.setattr(footfall, "FOOTFALL_BUYERS", monitored(footfall.FOOTFALL_BUYERS, performance=broken))
    monkeypatch.setattr(shoppers, "PURCHASE_PROBABILITY", eager)
    outcome = dags["watch"].test(logical_date=datetime(2024, 7, 2, tzinfo=UTC), run_conf={})
    states = {task.task_id: task.state for task in outcome.get_task_instances()}
    assert outcome.state == DagRunState.FAILED, "somebody must look at it"
    assert states["check_footfall"] == "failed"
    assert states["retrain_footfall_buyers"] == "upstream_failed"
    assert states["check_shoppers"] == states["retrain_purchase_probability"] == "success"
    assert states["retrain_brand_choice"] == states["check_customers"] == "skipped"
