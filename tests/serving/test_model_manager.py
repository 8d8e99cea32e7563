"""Champions come and go: what serves is whole, is what it says it is, and stays when anything fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.domains import endpoints
from pipeline.errors import UsageError
from pipeline.footfall.endpoint import ENDPOINT
from pipeline.footfall.steps import FIT_FILE, MODEL
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_manager import ModelManager
from pipeline.settings import Settings
from tests.serving.conftest import AS_OF, ready, running, until

BODY = {"rows": [{"visitors": 10}]}
SWAPS = 20
FAST = {"serve_poll_seconds": 0.05}


def register(settings: Settings, buyers: float, **artefacts: Any) -> int:
    """A version of the footfall model that always says the same."""
    registry = Registry(settings)
    model = LinearRegression().fit(pd.DataFrame({"visitors": [1.0, 2.0]}), [0.0, 0.0])
    model.intercept_ = np.float64(buyers)
    fit = registry.artefacts(MODEL, 1)[FIT_FILE]
    version = registry.log_challenger(
        MODEL,
        model,
        provenance=Provenance(AS_OF, {"footfall": 0}, ("visitors",), hash(buyers), "abc123"),
        example=pd.DataFrame({"visitors": [10.0]}),
        metrics={"rmse": 1.0},
        artefacts=artefacts.get("artefacts", {FIT_FILE: fit}),
    )
    return version.version


def promote(settings: Settings, version: int) -> None:
    Registry(settings).promote(MODEL, version, by="test", reason="to see it swapped")


def said(client: httpx.Client) -> tuple[int, float]:
    """The version that answers, and what it says."""
    answer = client.post("/footfall", json=BODY)
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["answers"]
    return one["model_version"], one["buyers"]


def note(client: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/model/{MODEL}").json()
    return told


@pytest.fixture
def swapping(own_shop: Settings) -> Iterator[tuple[Settings, httpx.Client]]:
    settings = own_shop.model_copy(update=FAST | {"serve_models": frozenset({"footfall"})})
    with running(settings, endpoints=(ENDPOINT,)) as client:
        yield settings, ready(client)


def test_no_request_fails_and_no_version_is_wrong_while_champions_are_swapped(
    swapping: tuple[Settings, httpx.Client],
) -> None:
    settings, client = swapping
    says = {register(settings, 100.0 * n): 100.0 * n for n in range(1, 4)}
    seen: list[tuple[int, float]] = []
    faults: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, timeout=20) as mine:
            while not stop.is_set():
                try:
                    seen.append(said(mine))
                except (AssertionError, httpx.HTTPError) as fault:
                    faults.append(fault)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    first, _ = said(client)
    for asker in askers:
        asker.start()
    for n in range(SWAPS):
        version = list(says)[n % len(says)]
        promote(settings, version)
        until(lambda version=version: said(client)[0] == version)
    stop.set()
    for asker in askers:
        asker.join()
    assert not faults
    assert len(seen) > SWAPS
    assert all(buyers == says[version] for version, buyers in seen if version != first)
    versions = [version for version, _ in seen]
    assert set(versions) >= set(says)


def test_what_fails_is_not_taken_and_the_old_one_stays(swapping: tuple[Settings, httpx.Client]) -> None:
    settings, client = swapping
    before = said(client)
    promote(settings, register(settings, 50.0, artefacts={"other.json": {}}))
    until(lambda: note(client)["reload"]["outcome"] == "failed")
    assert said(client) == before
    assert "version 2 was not taken" in note(client)["reload"]["text"]
    assert client.get("/health/ready").status_code == 200
    assert 'aisle_reloads_total{model="footfall",outcome="failed"}' in client.get("/metrics").text
    good = register(settings, 60.0)
    promote(settings, good)
    assert until(lambda: said(client) if said(client) != before else None) == (good, 60.0)


def test_files_that_are_not_what_was_registered_are_not_taken(swapping: tuple[Settings, httpx.Client]) -> None:
    settings, client = swapping
    before = said(client)
    version = register(settings, 70.0)
    entry = Registry(settings)._entry(MODEL, version)
    changed = Path(entry.source.removeprefix("file://")) / "artefacts" / FIT_FILE
    changed.write_text(changed.read_text() + " ")
    promote(settings, version)
    until(lambda: "not the ones that were registered" in note(client)["reload"]["text"])
    assert said(client) == before


def test_a_model_that_cannot_answer_its_own_example_is_not_taken(swapping: tuple[Settings, httpx.Client]) -> None:
    settings, client = swapping
    before = said(client)
    promote(settings, register(settings, 1e308 * 10))
    until(lambda: note(client)["reload"]["outcome"] == "failed")
    assert said(client) == before


def test_a_registry_that_is_away_at_the_start_is_waited_for(shop: Settings) -> None:
    there = threading.Event()

    def registry() -> Registry:
        if not there.is_set():
            raise ConnectionError("connection refused")
        return Registry(shop)

    with running(shop.model_copy(update=FAST), registry=registry) as client:
        told = until(lambda: all((said := client.get("/health/ready").json())["routes"].values()) and said)
        assert not told["ready"]
        assert "connection refused" in told["routes"]["footfall"]["text"]
        assert client.get("/health/live").status_code == 200
        refused = client.post("/footfall", json=BODY)
        assert refused.status_code == 503
        assert "connection refused" in refused.json()["observed"]
        assert refused.headers["retry-after"]
        there.set()
        ready(client)
        assert said(client)[0] == 1


def test_a_registry_that_goes_away_later_is_not_missed(shop: Settings) -> None:
    class Leaving(Registry):
        away = False

        def aliases(self, name: str) -> dict[str, int]:
            if self.away:
                raise ConnectionError("connection reset")
            return super().aliases(name)

    registry = Leaving(shop)
    with running(shop.model_copy(update=FAST), registry=lambda: registry) as client:
        before = said(ready(client))
        registry.away = True
        until(lambda: "connection reset" in note(client)["reload"]["text"])
        assert said(client) == before
        assert client.get("/health/ready").status_code == 200


def test_a_server_that_does_not_answer_is_said_soon(shop: Settings) -> None:
    settings = shop.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    champions = ModelManager(settings, endpoints(), Metrics())
    champions.refresh()
    assert not champions.ready
    assert all(one.outcome == "failed" for one in champions.notes.values())


def test_what_has_no_champion_is_said(home: Settings) -> None:
    champions = ModelManager(home, endpoints(), Metrics())
    champions.refresh()
    assert not champions.ready
    assert "no champion of footfall_buyers" in champions.notes["footfall"].text


def test_what_must_serve_can_be_said(shop: Settings) -> None:
    with pytest.raises(UsageError, match="no such models"):
        ModelManager(shop.model_copy(update={"serve_models": frozenset({"weather"})}), endpoints(), Metrics())
    only = ModelManager(shop.model_copy(update={"serve_models": frozenset({"footfall"})}), endpoints(), Metrics())
    only.refresh()
    assert only.required == ("footfall",)
    assert only.ready


def test_a_new_champion_of_one_model_keeps_the_others_of_its_chain(shop: Settings) -> None:
    champions = ModelManager(shop, endpoints(), Metrics())
    champions.refresh()
    serving = champions.serving("purchase")
    champions.refresh()
    assert champions.serving("purchase") is serving
    assert champions.notes["purchase"].outcome == "loaded"


def test_every_champion_is_described(client: httpx.Client) -> None:
    told = client.get("/model").json()
    assert {model["name"] for model in told["models"]} == {
        "customer_segments",
        "purchase_probability",
        "brand_choice",
        "purchase_quantity",
        "footfall_buyers",
        "store_sales",
    }
    for model in told["models"]:
        assert model["version"] == 1
        assert model["tables"]
        assert model["features"]
        assert model["metrics"]
        assert model["as_of"] < model["registered_at"] < model["since"]
        assert model["reload"]["outcome"] == "loaded"
    segments = client.get("/model/customer_segments").json()["about"]["segments"]
    assert "insiders" in [segment["name"] for segment in segments]
