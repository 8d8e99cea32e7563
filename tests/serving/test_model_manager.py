"""Champions are replaced while requests are answered; if a new one cannot be loaded, the old one stays."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.dates import UNDATED_AS_OF
from pipeline.domains import endpoints
from pipeline.errors import UsageError
from pipeline.footfall.buyers import FIT_FILE, MODEL
from pipeline.footfall.endpoint import ENDPOINT
from pipeline.registry.client import CHAMPION, Registry
from pipeline.registry.records import Loaded
from pipeline.serving.metrics import Metrics
from pipeline.serving.model_manager import ModelManager
from pipeline.settings import Settings
from tests.serving.helpers import AS_OF, BODY, HANG_SECONDS, ready, register, running, until
from tests.serving.stub import ENDPOINT as STUB
from tests.serving.stub import NumberPredictor, StubRegistry

SWAPS = 20
FAST = {"serve_poll_seconds": 0.05}


def promote(settings: Settings, version: int) -> None:
    Registry(settings).promote(MODEL, version, by="test", reason="test")


def predict(client: httpx.Client) -> tuple[int, float]:
    """The version that answers, and its prediction."""
    answer = client.post("/footfall", json=BODY)
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["answers"]
    return one["model_version"], one["buyers"]


def details(client: httpx.Client) -> dict[str, Any]:
    """What the service says about the champion."""
    found: dict[str, Any] = client.get(f"/model/{MODEL}").json()
    return found


@pytest.fixture
def swapping(own_shop: Settings) -> Iterator[tuple[Settings, httpx.Client]]:
    settings = own_shop.model_copy(update=FAST | {"serve_models": frozenset({"footfall"})})
    with running(settings, endpoints=(ENDPOINT,)) as client:
        yield settings, ready(client)


def test_no_request_fails_or_names_a_wrong_version_while_champions_change(
    swapping: tuple[Settings, httpx.Client],
) -> None:
    settings, client = swapping
    buyers_of = {register(settings, 100.0 * n): 100.0 * n for n in range(1, 4)}
    seen: list[tuple[int, float]] = []
    faults: list[Exception] = []
    stop = threading.Event()

    def send() -> None:
        with httpx.Client(base_url=client.base_url, timeout=HANG_SECONDS) as mine:
            while not stop.is_set():
                try:
                    seen.append(predict(mine))
                except (AssertionError, httpx.HTTPError) as fault:
                    faults.append(fault)

    clients = [threading.Thread(target=send) for _ in range(3)]
    first, _ = predict(client)
    for one in clients:
        one.start()
    for n in range(SWAPS):
        version, before = list(buyers_of)[n % len(buyers_of)], len(seen)
        promote(settings, version)
        until(lambda: faults or any(found == version for found, _ in seen[before:]))  # noqa: B023 (called at once)
    stop.set()
    for one in clients:
        one.join()
    assert not faults
    assert all(buyers == buyers_of[version] for version, buyers in seen if version != first)
    assert {version for version, _ in seen} >= set(buyers_of)


class SlowRegistry(StubRegistry):
    """Takes its time to load a model."""

    def load(self, name: str, which: int | str = CHAMPION, trusted_types: Sequence[str] = ()) -> Loaded:
        time.sleep(0.3)
        return super().load(name, which, trusted_types)


def test_the_first_request_that_is_accepted_is_answered(empty: Settings) -> None:
    """The service listens when its champions are loaded, so no client sees a 503 after its start."""
    with running(empty, endpoints=(STUB,), registry=SlowRegistry) as client:
        assert client.post(STUB.path, json={"rows": [{"number": 5}]}).status_code == 200


def test_nothing_of_replaced_models_stays_night_after_night(empty: Settings) -> None:
    """Each goes when it is replaced, without the garbage collector; what stays does not grow with the nights."""
    night = iter(range(1_000))
    replaced: list[weakref.ref[NumberPredictor]] = []

    def build(loaded: Mapping[str, Loaded], settings: Settings) -> NumberPredictor:
        predictor = NumberPredictor(loaded, settings)
        replaced.append(weakref.ref(predictor))
        return predictor

    nightly = replace(STUB, build=build, source=lambda _: str(next(night)))
    manager = ModelManager(empty, (nightly,), Metrics(), StubRegistry)
    tracked = []
    for _ in range(3):
        for _ in range(10):
            manager.refresh()
        assert [predictor() is None for predictor in replaced] == [True] * (len(replaced) - 1) + [False]
        gc.collect()
        tracked.append(len(gc.get_objects()))
    assert len(replaced) == 30
    assert tracked[2] - tracked[1] < 100, "ten nights leave nothing but the references of this test"


def test_endpoints_of_one_model_load_it_once_and_one_more_champion_does_not_interrupt(empty: Settings) -> None:
    registry = StubRegistry()
    ready_while_loading: list[bool] = []

    def build(loaded: Mapping[str, Loaded], settings: Settings) -> NumberPredictor:
        ready_while_loading.append(manager.ready)
        return NumberPredictor(loaded, settings)

    second = replace(STUB, name="second", path="/second", build=build, models=("numbers", "later"))
    manager = ModelManager(empty, (STUB, replace(STUB, name="other"), second), Metrics(), lambda: registry)
    manager.refresh()
    assert registry.loads == [1]
    assert (manager.ready, manager.required) == (True, ("numbers", "other"))
    registry.more = {"later": {CHAMPION: 1}}
    manager.refresh()
    assert ready_while_loading == [True]
    assert (manager.ready, manager.required) == (True, ("numbers", "other", "second"))


def test_a_champion_that_cannot_be_built_is_not_taken(swapping: tuple[Settings, httpx.Client]) -> None:
    settings, client = swapping
    before = predict(client)
    promote(settings, register(settings, 50.0, artefacts={"other.json": {}}))
    until(lambda: details(client)["reload"]["outcome"] == "failed")
    assert predict(client) == before
    assert "version 2 was not taken" in details(client)["reload"]["text"]
    assert client.get("/health/ready").status_code == 200
    assert 'aisle_reloads_total{model="footfall",outcome="failed"}' in client.get("/metrics").text
    good = register(settings, 60.0)
    promote(settings, good)
    assert until(lambda: predict(client) if predict(client) != before else None) == (good, 60.0)


def test_a_champion_whose_files_were_changed_is_not_taken(swapping: tuple[Settings, httpx.Client]) -> None:
    settings, client = swapping
    before = predict(client)
    version = register(settings, 70.0)
    entry = Registry(settings)._store.entry(MODEL, version)
    changed = Path(entry.source.removeprefix("file://")) / "artefacts" / FIT_FILE
    changed.write_text(changed.read_text() + " ")
    promote(settings, version)
    until(lambda: "not the ones that were registered" in details(client)["reload"]["text"])
    assert predict(client) == before


def test_a_champion_that_does_not_answer_its_own_example_is_not_taken(swapping: tuple[Settings, httpx.Client]) -> None:
    settings, client = swapping
    before = predict(client)
    promote(settings, register(settings, 1e308 * 10))
    until(lambda: details(client)["reload"]["outcome"] == "failed")
    assert predict(client) == before


def test_the_service_waits_for_a_registry_that_is_unreachable_at_the_start(shop: Settings) -> None:
    reachable = threading.Event()

    def registry() -> Registry:
        if not reachable.is_set():
            raise ConnectionError("connection refused")
        return Registry(shop)

    with running(shop.model_copy(update=FAST), registry=registry) as client:
        until(lambda: client.get("/model").json()["routes"]["footfall"])
        state = client.get("/model").json()
        assert not client.get("/health/ready").json()["ready"]
        assert "connection refused" in state["routes"]["footfall"]["text"]
        assert client.get("/health/live").status_code == 200
        refused = client.post("/footfall", json=BODY)
        assert refused.status_code == 503
        # Who may predict may not read why.
        assert "connection refused" not in refused.text
        assert refused.headers["retry-after"]
        reachable.set()
        ready(client)
        assert predict(client)[0] == 1


def test_champions_keep_answering_when_the_registry_becomes_unreachable(shop: Settings) -> None:
    class Unreliable(Registry):
        down = False

        def aliases(self, name: str) -> dict[str, int]:
            if self.down:
                raise ConnectionError("connection reset")
            return super().aliases(name)

    registry = Unreliable(shop)
    with running(shop.model_copy(update=FAST), registry=lambda: registry) as client:
        before = predict(ready(client))
        registry.down = True
        until(lambda: "connection reset" in details(client)["reload"]["text"])
        assert predict(client) == before
        assert client.get("/health/ready").status_code == 200


def test_a_tracking_server_that_does_not_answer_is_reported(shop: Settings) -> None:
    settings = shop.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    manager = ModelManager(settings, endpoints(), Metrics())
    manager.refresh()
    assert not manager.ready
    assert all(one.outcome == "failed" for one in manager.last_reloads.values())


def test_an_endpoint_without_champion_is_reported(home: Settings) -> None:
    manager = ModelManager(home, endpoints(), Metrics())
    manager.refresh()
    assert not manager.ready
    assert "no champion of footfall_buyers" in manager.last_reloads["footfall"].text


def test_required_endpoints_can_be_set(shop: Settings) -> None:
    with pytest.raises(UsageError, match="no such endpoints"):
        ModelManager(shop.model_copy(update={"serve_models": frozenset({"weather"})}), endpoints(), Metrics())
    only = ModelManager(shop.model_copy(update={"serve_models": frozenset({"footfall"})}), endpoints(), Metrics())
    only.refresh()
    assert only.required == ("footfall",)
    assert only.ready


def test_a_poll_without_a_change_keeps_the_loaded_champions(shop: Settings) -> None:
    manager = ModelManager(shop, endpoints(), Metrics())
    manager.refresh()
    champion = manager.champion("purchase")
    manager.refresh()
    assert manager.champion("purchase") is champion
    assert manager.last_reloads["purchase"].outcome == "loaded"


def test_every_champion_is_described(client: httpx.Client) -> None:
    state = client.get("/model").json()
    assert {model["name"] for model in state["models"]} == {
        "customer_segments",
        "recommendations",
        "purchase_probability",
        "brand_choice",
        "purchase_quantity",
        "footfall_buyers",
        "store_sales",
    }
    for model in state["models"]:
        assert model["version"] == 1
        assert model["tables"]
        assert model["features"]
        assert model["metrics"]
        assert model["as_of"] < model["registered_at"] < model["since"]
        assert model["reload"]["outcome"] == "loaded"
    segments = client.get("/model/customer_segments").json()["about"]["segments"]
    assert "insiders" in [segment["name"] for segment in segments]


def test_a_model_of_undated_data_has_no_age(swapping: tuple[Settings, httpx.Client]) -> None:
    settings, client = swapping
    age = f'aisle_model_age_days{{model="{MODEL}"}}'
    assert details(client)["as_of"] == AS_OF.isoformat()
    assert age in client.get("/metrics").text
    version = register(settings, 80.0, UNDATED_AS_OF)
    promote(settings, version)
    until(lambda: details(client)["version"] == version)
    assert details(client)["as_of"] == "undated"
    assert client.get("/model").json()["models"][0]["as_of"] == "undated"
    assert age not in client.get("/metrics").text


def test_each_decision_about_a_champion_is_logged_once(own_shop: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipeline.serving.model_manager")
    manager = ModelManager(own_shop, (ENDPOINT,), Metrics())
    manager.refresh()
    promote(own_shop, register(own_shop, 50.0, artefacts={"other.json": {}}))
    manager.refresh()
    manager.refresh()
    events = [(getattr(record, "event", ""), getattr(record, "fields", {})) for record in caplog.records]
    assert [name for name, _ in events if name] == ["champion loaded", "champion not loaded"]
    assert "version 1 is loaded" in events[0][1]["detail"]
    assert f"{MODEL} version 2 was not taken" in events[1][1]["reason"]
