"""The start page, the report pages (and no other file below home), and their headers."""

from __future__ import annotations

import http.client
import re

import httpx
import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, write_page
from pipeline.settings import Settings
from tests.serving.helpers import HANG_SECONDS


@pytest.fixture(scope="module", autouse=True)
def _reports(shop: Settings) -> None:
    lake = Lake(shop)
    write_page(lake, "customers/2025-05-01", "Customers", "", [Section("One", figure='{"data": []}')])
    lake.write_blob("secret.html", b"secret")
    lake.write_blob("reports/.hidden.html", b"secret")
    lake.write_blob("reports/notes.txt", b"secret")


def test_reports_are_listed_and_open(client: httpx.Client) -> None:
    listed = client.get("/reports/")
    assert "customers" in listed.text.lower()
    page = client.get("/reports/customers/2025-05-01.html")
    assert "<h1>Customers</h1>" in page.text
    assert "unsafe-eval" not in page.headers["content-security-policy"]
    assert page.headers["content-type"].startswith("text/html")
    assert client.get("/reports/assets/plotly.min.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/reports").headers["location"] == "/reports/"


def test_a_page_that_another_library_draws_has_a_sandbox_and_no_other(client: httpx.Client, shop: Settings) -> None:
    Lake(shop).write_blob("reports/drift/m/distributions/2025-05-01.html", b"<p>drawn</p>")
    drawn = client.get("/reports/drift/m/distributions/2025-05-01.html").headers["content-security-policy"]
    assert "; sandbox allow-scripts" in drawn
    assert "allow-same-origin" not in drawn
    assert "sandbox" not in client.get("/reports/customers/2025-05-01.html").headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "../secret.html",
        "..%2fsecret.html",
        "%2e%2e/secret.html",
        "%2e%2e%2fsecret.html",
        "..%5csecret.html",
        "customers/../../secret.html",
        "customers/%2e%2e/%2e%2e/secret.html",
        "%2fetc/passwd",
        "/etc/passwd",
        "file:%2f%2f%2fetc/passwd",
        ".hidden.html",
        "notes.txt",
        "customers/2025-05-01.html%00.html",
        "customers/2025-05-01.html/..%2f..%2f..%2fsecret.html",
        "....//secret.html",
        "customers",
        pytest.param("x" * 3_000 + ".html", id="3,000 letters"),
        pytest.param("x/" * 3_000 + "x.html", id="3,000 folders"),
        pytest.param("x" * 20_000 + ".html", id="20,000 letters"),
        pytest.param("customers/2025-05-01.html/x.html", id="below a file"),
        "%ff%fe.html",
        "%ed%a0%80.html",
    ],
)
def test_no_other_file_is_reached(client: httpx.Client, path: str) -> None:
    # httpx would normalize the address; http.client sends it as it is.
    wire = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=HANG_SECONDS)
    wire.request("GET", f"/reports/{path}")
    answer = wire.getresponse()
    body = answer.read()
    assert answer.status in (400, 404), body
    assert b"secret" not in body.replace(b"secret.html", b"")
    assert b"root:" not in body


def test_every_answer_has_its_headers(client: httpx.Client) -> None:
    for path in ("/", "/docs", "/model", "/metrics", "/health/live", "/nothing", "/reports/", "/assets/page.js"):
        headers = client.get(path).headers
        assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"]), path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert "server" not in headers or path, path
    assert client.get("/model").headers["cache-control"] == "no-store"
    assert client.get("/health/live", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    evil = client.get("/health/live", headers={"X-Request-ID": "a b<script>"}).headers["x-request-id"]
    assert "script" not in evil


def test_the_start_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/")
    assert "unsafe" not in page.headers["content-security-policy"]
    for path in ("/", "/assets/page.js", "/assets/page.css", "/assets/icon.svg"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert not re.search(r"https?://(?!www\.w3\.org)", answer.text), path
    for asset in re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text):
        assert client.get(asset).status_code == 200
    assert "<script>" not in page.text
    assert "style=" not in page.text
