"""Keys, scopes, rate limits, and loopback only without keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import limits.storage.memory
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import UsageError
from pipeline.serving.keys import check_host, hash_key
from pipeline.settings import Settings, load_settings
from tests.serving.helpers import basic, bearer, keys
from tests.serving.stub import MODEL, PATH, stub_service

READ = ("/", "/assets/page.js", "/model", f"/model/{MODEL}", "/metrics", "/reports/", "/docs", "/openapi.json")
BODY = {"rows": [{"number": 10}]}
KEYS = {"all": ("predict", "read"), "reader": ("read",), "till": ("predict",), "boss": ("admin",)}
"""Name -> scopes of the keys of `guarded`; the key is the name."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with `KEYS`; the client sends none by itself."""
    with stub_service(Settings(home=str(tmp_path_factory.mktemp("guarded")), api_keys=keys(KEYS))) as client:
        yield client


def test_without_a_key_every_address_but_health_is_401(guarded: httpx.Client) -> None:
    for path in ("/health/live", "/health/ready"):
        assert guarded.get(path).status_code == 200
    for method, paths in (
        ("GET", (*READ, "/nothing", "/static-offline-docs/swagger-ui.css")),
        ("POST", (PATH, "/reload")),
    ):
        for path in (*paths, *(f"/health/live/..{path}" for path in paths)):
            answer = guarded.request(method, path)
            assert answer.status_code == 401, path
            assert answer.json()["allowed"].startswith("Authorization: Bearer")
            assert "Basic" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "sent",
    [
        bearer("wrong"),
        {"Authorization": "Bearer"},
        bearer("ready"),
        basic("wrong"),
        {"Authorization": "till"},
        {"Authorization": "Basic ***"},
        {"Authorization": "Basic /w=="},
        {"Authorization": f"Bearer {hash_key('till')}"},
        {"X-API-Key": "till"},
    ],
)
def test_an_unknown_or_malformed_key_is_401(guarded: httpx.Client, sent: dict[str, str]) -> None:
    assert guarded.post(PATH, json=BODY, headers=sent).status_code == 401


def test_each_scope_allows_its_own_routes(guarded: httpx.Client) -> None:
    def status(method: str, path: str, key: str, **arguments: Any) -> int:
        return guarded.request(method, path, headers=bearer(key), **arguments).status_code

    for path in READ:
        assert {key: status("GET", path, key) for key in KEYS} == {"all": 200, "reader": 200, "till": 403, "boss": 200}
    statuses = {key: status("POST", PATH, key, json=BODY) for key in KEYS}
    assert statuses == {"all": 200, "reader": 403, "till": 200, "boss": 200}
    assert {key: status("POST", "/reload", key) for key in KEYS} == {
        "all": 403,
        "reader": 403,
        "till": 403,
        "boss": 200,
    }
    refused = guarded.post(PATH, json=BODY, headers=bearer("reader")).json()
    assert refused["observed"] == "scopes of reader: read"
    assert "predict" in refused["allowed"]


def test_a_browser_sends_the_key_as_its_password(guarded: httpx.Client) -> None:
    assert guarded.get("/", headers=basic("reader")).status_code == 200


def test_a_key_has_a_rate_limit(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    # The window must not end in the middle of the test.
    monkeypatch.setattr(limits.storage.memory, "time", SimpleNamespace(time=lambda: 1_000_000.0))
    two_keys = keys({"one": ("read",), "other": ("read",)})
    with stub_service(empty, api_keys=two_keys, serve_rate="5/hour") as client:
        statuses = [client.get("/model", headers=bearer("one")).status_code for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        assert client.get("/model", headers=bearer("other")).status_code == 200
        refused = client.get("/model", headers=bearer("one"))
        assert refused.headers["retry-after"]
        assert refused.json()["allowed"] == "5/hour"


def test_without_keys_only_loopback_is_answered(empty: Settings) -> None:
    with stub_service(empty) as client:
        assert client.get("/model").status_code == 200
        for host in ("shop.example", "shop.example:80", "127.0.0.1.shop.example", ""):
            assert client.get("/model", headers={"Host": host}).status_code == 401, host
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
            assert client.get("/model", headers={"Host": host}).status_code == 200, host


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
    ids=range(9),
)
def test_pages_of_other_sites_cannot_make_a_browser_send(
    unguarded: httpx.Client, guarded: httpx.Client, headers: dict[str, str], status: int
) -> None:
    """A browser sends a remembered password by itself, so this holds with keys, too."""
    for client, key in ((unguarded, {}), (guarded, basic("boss"))):
        own = f"http://{client.base_url.host}:{client.base_url.port}"
        sent = {name: value.format(own=own) for name, value in headers.items()}
        assert client.post("/reload", headers=sent | key).status_code == status
        assert client.post(PATH, json=BODY, headers=sent | key).status_code == status
        # Reading is what browsers themselves refuse to show to other sites.
        assert client.get("/model", headers=sent | key).status_code == 200


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service without keys."""
    with stub_service(Settings(home=str(tmp_path_factory.mktemp("unguarded")))) as client:
        yield client


def test_without_keys_the_service_does_not_listen_on_a_network() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        check_host(host, {})
    for host in ("0.0.0.0", "192.168.1.5", "::", "shop.example"):
        with pytest.raises(UsageError, match="loopback only"):
            check_host(host, {})
        check_host(host, keys({"one": ("read",)}))


def test_a_generated_key_works(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app.app, ["key", "till", "--scope", "predict", "--scope", "read", "--json"])
    printed = json.loads(result.stdout)
    assert printed["key"] not in json.dumps(printed["setting"])
    monkeypatch.setenv("AISLE_API_KEYS", json.dumps(printed["setting"]))
    with stub_service(empty, api_keys=load_settings().api_keys) as client:
        assert client.post(PATH, json=BODY, headers=bearer(printed["key"])).status_code == 200
        assert client.get("/model").status_code == 401


def test_the_error_about_a_wrong_setting_names_it_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISLE_API_KEYS", '{"till": {"sha256": "my secret", "scopes": ["predict"]}}')
    with pytest.raises(UsageError, match="AISLE_API_KEYS") as error:
        load_settings()
    assert "my secret" not in str(error.value)
