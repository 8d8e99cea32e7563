"""A challenger predicts in the shadow, or answers a share of the requests, if the settings say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.lake.tables import Lake
from pipeline.serving.prediction_log import PREDICTIONS
from pipeline.settings import Settings
from tests.serving.helpers import until
from tests.serving.stub import MODEL, PATH, StubRegistry, stub_service

REQUESTS = 60
CHAMPION, CHALLENGER = 1, 2


def answer_requests(settings: Settings, **changes: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """Send requests; the versions that answered them, and the prediction log."""
    registry = StubRegistry(champion=CHAMPION, challenger=CHALLENGER)
    with stub_service(settings, registry, **changes) as client:
        expected = CHALLENGER if changes else None
        until(lambda: client.get(f"/model/{MODEL}").json()["challenger"] == expected)
        versions = []
        for n in range(REQUESTS):
            body = {"rows": [{"number": 10}]}
            (answer,) = client.post(PATH, json=body, headers={"X-Request-ID": f"request-{n}"}).json()["answers"]
            assert answer["number"] == 10 + 100 * answer["model_version"]
            versions.append(answer["model_version"])
    return versions, Lake(settings).read(PREDICTIONS).to_pylist()


def test_a_challenger_does_nothing_by_default(empty: Settings) -> None:
    versions, log = answer_requests(empty)
    assert set(versions) == {CHAMPION}
    assert [row["role"] for row in log] == ["champion"] * REQUESTS


def test_shadow_predictions_are_logged_and_never_returned(empty: Settings) -> None:
    versions, log = answer_requests(empty, serve_shadow=True)
    assert set(versions) == {CHAMPION}
    roles = [row["role"] for row in log]
    assert roles.count("champion") == REQUESTS
    assert 0 < roles.count("shadow") <= REQUESTS
    for row in log:
        version = CHAMPION if row["role"] == "champion" else CHALLENGER
        assert json.loads(row["versions"]) == {MODEL: version}
        assert json.loads(row["output"])["number"] == 10 + 100 * version


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_canary_answers_its_share_of_requests(empty: Settings, share: float) -> None:
    versions, log = answer_requests(empty, serve_canary=share)
    assert abs(versions.count(CHALLENGER) / REQUESTS - share) < 0.15
    assert [row["role"] for row in log].count("canary") == versions.count(CHALLENGER)
