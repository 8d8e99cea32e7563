"""The plugin in Airflow's own API server: only users who may see DAGs see pages, and only pages are served."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, write_page
from pipeline.settings import Settings

if TYPE_CHECKING:
    from airflow.plugins_manager import AirflowPlugin
    from starlette.testclient import TestClient

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PAGE = "/aisle/customers/2025-01-02.html"
ROLES = ("viewer", "admin")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Airflow's API server with the plugin, two users, and a home with a few pages; redirections are not followed."""
    from airflow import plugins_manager, settings
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from airflow.utils.db import initdb
    from starlette.testclient import TestClient

    folder = tmp_path_factory.mktemp("server")
    lake = Lake(Settings(home=str(folder / "home")))
    for day in ("2025-01-01", "2025-01-02"):
        write_page(lake, f"customers/{day}", f"Customers {day}", "", [Section("One", figure='{"data": []}')])
    lake.write_blob("reports/drift/customer_segments/2025-01-02.json", b'{"verdict": "no drift"}')
    lake.write_blob("secret.html", b"secret")
    (folder / "passwords.json").write_text(json.dumps({role: f"{role}'s password" for role in ROLES}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AISLE_HOME", str(folder / "home"))
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "False")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{role}:{role}" for role in ROLES))
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(folder / "passwords.json"))
        patch.setenv(
            "AIRFLOW__API_AUTH__JWT_SECRET", "a secret of this test, of more than the sixty-four bytes of HS512"
        )
        patch.setattr(settings, "PLUGINS_FOLDER", str(PLUGINS))
        caches = (plugins_manager._get_plugins, plugins_manager._get_ui_plugins, plugins_manager.get_fastapi_plugins)
        for cache in caches:
            cache.cache_clear()
        initdb()
        yield TestClient(create_app("core"), follow_redirects=False)
        purge_cached_app()
        for cache in caches:
            cache.cache_clear()


def token(server: TestClient, role: str) -> str:
    """What Airflow gives to a user who logs in."""
    answer = server.post("/auth/token", json={"username": role, "password": f"{role}'s password"})
    assert answer.status_code == 201
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def viewer(server: TestClient) -> dict[str, str]:
    """The header of a user who may only look."""
    return {"Authorization": f"Bearer {token(server, 'viewer')}"}


@pytest.fixture
def plugin(server: TestClient) -> AirflowPlugin:
    from airflow import plugins_manager

    assert plugins_manager.get_import_errors() == {}
    (found,) = (plugin for plugin in plugins_manager._get_plugins()[0] if plugin.name == "aisle_reports")
    return found


@pytest.mark.parametrize(
    "path", ["", "customers/", PAGE.removeprefix("/aisle/"), "assets/plotly.min.js", "missing.html", "dag/watch"]
)
def test_nobody_unknown_sees_anything(server: TestClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic YWRtaW46YWRtaW4="}, {"Cookie": "_token="}):
        answer = server.get(f"/aisle/{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("key", ["a secret of another installation, which is just as long as that of this one", ""])
def test_a_token_that_another_signed_opens_nothing(server: TestClient, key: str) -> None:
    import jwt

    claims = jwt.decode(token(server, "admin"), options={"verify_signature": False})
    forged = jwt.encode(claims, key, "HS512" if key else "none")
    for header in ({"Authorization": f"Bearer {forged}"}, {"Cookie": f"_token={forged}"}):
        assert server.get(PAGE, headers=header).status_code in (401, 403)


def test_who_is_logged_out_sees_nothing_more(server: TestClient) -> None:
    cookie = {"Cookie": f"_token={token(server, 'viewer')}"}
    assert server.get(PAGE, headers=cookie).status_code == 200
    server.get("/api/v2/auth/logout", headers=cookie)
    server.cookies.clear()
    assert server.get(PAGE, headers=cookie).status_code in (401, 403)


def test_who_may_not_see_dags_sees_no_page(
    server: TestClient, viewer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", lambda *, method, user: method != "GET")
    assert server.get(PAGE, headers=viewer).status_code == 403
    assert server.get(f"{PAGE}?dag_id=customers", headers=viewer).status_code == 403


@pytest.mark.parametrize("role", ROLES)
def test_users_see_pages_by_cookie_as_in_the_ui_and_by_token(server: TestClient, role: str) -> None:
    given = token(server, role)
    for headers in ({"Cookie": f"_token={given}"}, {"Authorization": f"Bearer {given}"}):
        answer = server.get(PAGE, headers=headers)
        assert answer.status_code == 200
        assert "Customers 2025-01-02" in answer.text


def test_the_index_leads_to_the_pages(server: TestClient, viewer: dict[str, str]) -> None:
    html = server.get("/aisle/", headers=viewer).text
    assert html.index("./customers/2025-01-02.html") < html.index("./customers/2025-01-01.html")
    assert "No pages yet" in server.get("/aisle/nothing/", headers=viewer).text


@pytest.mark.parametrize(
    ("dag_id", "where"),
    [
        ("customers", "customers"),
        ("watch", "drift"),
        ("ingest_transactions", "validation/transactions"),
        ("train_customer_segments", "drift/customer_segments"),
    ],
)
def test_a_dags_tab_shows_its_pages(server: TestClient, viewer: dict[str, str], dag_id: str, where: str) -> None:
    answer = server.get(f"/aisle/dag/{dag_id}", headers=viewer)
    assert answer.is_redirect
    assert str(answer.next_request.url) == f"http://testserver/aisle/{where}/"  # type: ignore[union-attr]


@pytest.mark.parametrize("dag_id", ["//example.org", "%2F%2Fexample.org", "https:example.org", "%5C%5Cexample.org"])
def test_no_dag_leads_elsewhere(server: TestClient, viewer: dict[str, str], dag_id: str) -> None:
    answer = server.get(f"/aisle/dag/{dag_id}", headers=viewer)
    if answer.is_redirect:
        assert answer.next_request is not None
        assert answer.next_request.url.host == "testserver"


def test_types_and_headers_tell_browsers_what_they_may(server: TestClient, viewer: dict[str, str]) -> None:
    for path, kind in (
        (PAGE, "text/html; charset=utf-8"),
        ("/aisle/", "text/html; charset=utf-8"),
        ("/aisle/assets/plotly.min.js", "text/javascript; charset=utf-8"),
        ("/aisle/drift/customer_segments/2025-01-02.json", "application/json"),
    ):
        answer = server.get(path, headers=viewer)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == kind
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"].startswith("private")
        policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["frame-ancestors"] == "'self'"
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self' 'unsafe-inline'"


@pytest.mark.parametrize(
    "path",
    [
        "missing.html",
        "%2e%2e/secret.html",
        "%2e%2e%2fsecret.html",
        "customers/..%2f..%2fsecret.html",
        "..%5csecret.html",
        "%2fetc%2fpasswd",
        "customers/%2e%2e/%2e%2e/secret.html",
        "customers",
        "docs",
        "openapi.json",
        pytest.param("x" * 3_000 + ".html", id="3,000 letters"),
        pytest.param("x/" * 3_000 + "x.html", id="3,000 folders"),
    ],
)
def test_what_is_no_page_is_not_found(server: TestClient, viewer: dict[str, str], path: str) -> None:
    answer = server.get(f"/aisle/{path}", headers=viewer)
    assert answer.status_code == 404
    assert "<h1>There is no such page</h1>" in answer.text
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


def test_pages_are_only_read(server: TestClient, viewer: dict[str, str]) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert server.request(method, PAGE, headers=viewer).status_code == 405


def test_airflow_shows_it_in_the_navigation_and_on_dags(server: TestClient) -> None:
    admin = {"Authorization": f"Bearer {token(server, 'admin')}"}
    plugins = server.get("/api/v2/plugins", headers=admin).json()["plugins"]
    (shown,) = (plugin for plugin in plugins if plugin["name"] == "aisle_reports")
    views = {view["destination"]: view for view in shown["external_views"]}
    assert set(views) == {"nav", "dag"}
    # Without a route of its own a view is a link that leaves the UI.
    assert all(view["url_route"] and not view["href"].startswith("/") for view in views.values())
    assert shown["fastapi_apps"][0]["url_prefix"] == "/aisle"


def test_it_costs_next_to_nothing_where_no_pages_are_served() -> None:
    code = (
        "import sys, airflow.plugins_manager; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); "
        "import aisle_reports; print(sorted(n for n in set(sys.modules) - before if '.' not in n))"
    )
    done = subprocess.run([sys.executable, "-c", code, PLUGINS], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['aisle_reports']"
