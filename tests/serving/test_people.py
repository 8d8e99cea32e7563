"""Addresses that answer programs with JSON answer browsers with a page that says the same."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from html import unescape

import httpx
import pytest
from starlette.datastructures import Headers

from pipeline.dates import UNDATED_AS_OF
from pipeline.serving.people import trained, wants_page
from pipeline.settings import Settings
from tests.browser import PLANTED
from tests.serving.helpers import basic, keys
from tests.serving.stub import stub_service

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
NOW = datetime(2026, 1, 8, 12, tzinfo=UTC)


def text_of(page: httpx.Response) -> str:
    """The words of a page, without its markup."""
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    body = page.text.partition("<body>")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.parametrize(
    "path", ["/nothing", "/reports/nothing.html", "/reports/customers/9999-01-01.html", "/model/nothing"]
)
def test_what_is_not_there_is_a_page_for_people_and_json_for_programs(client: httpx.Client, path: str) -> None:
    page, json = client.get(path, headers=BROWSER), client.get(path)
    assert (page.status_code, json.status_code) == (404, 404)
    assert json.headers["content-type"] == "application/problem+json"
    assert json.headers["vary"] == page.headers["vary"] == "Accept"
    said, problem = text_of(page), json.json()
    assert "There is nothing here" in said
    for fact in (problem["what"], problem["todo"], page.headers["x-request-id"]):
        assert fact in said
    for way in ("/", "/reports/", "/model", "/docs"):
        assert f'href="{way}"' in page.text


def test_text_of_an_address_stays_text_on_the_page(client: httpx.Client) -> None:
    page = client.get("/reports/" + PLANTED.replace("/", ""), headers=BROWSER)
    assert page.status_code == 404
    assert "<svg" not in page.text
    assert "onload" in text_of(page)


def test_a_browser_is_still_asked_for_the_key_and_told_why_in_words(empty: Settings) -> None:
    with stub_service(empty, api_keys=keys({"reader": ["read"], "predictor": ["predict"]})) as client:
        anonymous = client.get("/model", headers=BROWSER)
        other = client.get("/model", headers=BROWSER | basic("predictor"))
    assert (anonymous.status_code, other.status_code) == (401, 403)
    assert "Basic" in anonymous.headers["www-authenticate"]
    assert "A key is required" in text_of(anonymous)
    assert "scopes of predictor: predict" in text_of(other)


def test_the_models_are_a_page_with_the_figures_of_the_json(client: httpx.Client) -> None:
    models = client.get("/model").json()["models"]
    said = text_of(client.get("/model", headers=BROWSER))
    assert f"{len({model['name'] for model in models})} models in use" in said
    for model in models:
        assert model["name"].replace("_", " ") in said
        assert model["route"] in said
    detail, page = client.get("/model/footfall_buyers").json(), client.get("/model/footfall_buyers", headers=BROWSER)
    assert f"typical error {detail['metrics']['rmse']:.3g}" in text_of(page)
    assert detail["measured"]["variance explained"] == f"{100 * detail['metrics']['r2']:.1f} %"
    assert f"variance explained {detail['measured']['variance explained']}" in text_of(page)
    assert all(f"table {name} version {version}" in text_of(page) for name, version in detail["tables"].items())


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (BROWSER["Accept"], True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("application/json, text/html;q=0.5", False),
        ("text/plain, TEXT/HTML;q=0.9", True),
    ],
)
def test_who_wants_a_page(accept: str, page: bool) -> None:
    assert wants_page(Headers({"accept": accept})) is page


@pytest.mark.parametrize(
    ("as_of", "age", "words"),
    [
        (date(2026, 1, 5), timedelta(days=3, hours=5), "3 days ago on data until 2026-01-04"),
        (date(2026, 1, 5), timedelta(hours=1, minutes=59), "1 hour ago on data until 2026-01-04"),
        (date(2020, 1, 1), timedelta(seconds=59), "just now on data until 2019-12-31"),
        ("undated", timedelta(minutes=2), "2 minutes ago on undated data"),
        (UNDATED_AS_OF, timedelta(minutes=2), "2 minutes ago on undated data"),
        # The clocks of two machines differ.
        (date(2026, 1, 5), timedelta(seconds=-5), "just now on data until 2026-01-04"),
    ],
)
def test_an_age_says_when_and_on_what(as_of: date | str, age: timedelta, words: str) -> None:
    assert trained(as_of, NOW - age, NOW) == words
