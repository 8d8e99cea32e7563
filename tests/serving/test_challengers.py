"""A challenger beside the champion: asked in the shadow, and given a share of requests, when settings say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry
from pipeline.serving.prediction_log import PREDICTIONS
from pipeline.settings import Settings
from tests.serving.conftest import ready, running, until
from tests.serving.test_model_manager import BODY, MODEL, register

ASKED = 60


def answered(settings: Settings, **changes: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """The versions that answered, and the log."""
    challenger = register(settings, 500.0)
    assert Registry(settings).get(MODEL, challenger).aliases == ("challenger",)
    with running(settings.model_copy(update=changes)) as client:
        ready(client)
        wanted = challenger if changes else None
        until(lambda: client.get(f"/model/{MODEL}").json()["challenger"] == wanted)
        versions = []
        for n in range(ASKED):
            answer = client.post("/footfall", json=BODY, headers={"X-Request-ID": f"request-{n}"})
            versions.append(answer.json()["answers"][0]["model_version"])
    return versions, Lake(settings).read(PREDICTIONS).to_pylist()


def test_a_challenger_is_not_asked_by_itself(own_shop: Settings) -> None:
    versions, log = answered(own_shop)
    assert set(versions) == {1}
    assert {row["role"] for row in log} == {"champion"}


def test_in_the_shadow_it_is_logged_and_never_returned(own_shop: Settings) -> None:
    versions, log = answered(own_shop, serve_shadow=True)
    assert set(versions) == {1}
    roles = [row["role"] for row in log]
    assert roles.count("champion") == ASKED
    assert 0 < roles.count("shadow") <= ASKED
    shadow = next(row for row in log if row["role"] == "shadow")
    assert json.loads(shadow["versions"]) == {MODEL: 2}
    assert json.loads(shadow["output"])["buyers"] == 500.0


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_share_of_requests_is_given_to_it(own_shop: Settings, share: float) -> None:
    versions, log = answered(own_shop, serve_canary=share)
    assert abs(versions.count(2) / ASKED - share) < 0.15
    assert [row["role"] for row in log].count("canary") == versions.count(2)
