"""A challenger predicts in the shadow, or answers a share of the requests, if the settings say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.footfall.buyers import MODEL
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.serving.prediction_log import PREDICTIONS
from pipeline.settings import Settings
from tests.serving.helpers import BODY, ready, register, running, until

REQUESTS = 60


def answer_requests(settings: Settings, **changes: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """Send requests; the versions that answered them, and the prediction log."""
    challenger = register(settings, 500.0)
    assert Registry(settings).get(MODEL, challenger).aliases == ("challenger",)
    with running(settings.model_copy(update=changes)) as client:
        ready(client)
        expected = challenger if changes else None
        until(lambda: client.get(f"/model/{MODEL}").json()["challenger"] == expected)
        versions = []
        for n in range(REQUESTS):
            answer = client.post("/footfall", json=BODY, headers={"X-Request-ID": f"request-{n}"})
            versions.append(answer.json()["answers"][0]["model_version"])
    return versions, Lake(settings).read(PREDICTIONS).to_pylist()


def test_a_challenger_does_nothing_by_default(own_shop: Settings) -> None:
    versions, log = answer_requests(own_shop)
    assert set(versions) == {1}
    assert {row["role"] for row in log} == {"champion"}


def test_shadow_predictions_are_logged_and_never_returned(own_shop: Settings) -> None:
    versions, log = answer_requests(own_shop, serve_shadow=True)
    assert set(versions) == {1}
    roles = [row["role"] for row in log]
    assert roles.count("champion") == REQUESTS
    assert 0 < roles.count("shadow") <= REQUESTS
    shadow = next(row for row in log if row["role"] == "shadow")
    assert json.loads(shadow["versions"]) == {MODEL: 2}
    assert json.loads(shadow["output"])["buyers"] == 500.0


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_canary_answers_its_share_of_requests(own_shop: Settings, share: float) -> None:
    versions, log = answer_requests(own_shop, serve_canary=share)
    assert abs(versions.count(2) / REQUESTS - share) < 0.15
    assert [row["role"] for row in log].count("canary") == versions.count(2)
