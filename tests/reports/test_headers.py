"""The headers of report pages."""

from __future__ import annotations

import pytest

from pipeline.reports.headers import HEADERS, headers_of

POLICY = "Content-Security-Policy"


@pytest.mark.parametrize("path", ["drift/brand_choice/distributions/2025-01-01.html", "drift/a/distributions/x.html"])
def test_what_another_library_draws_has_an_origin_of_its_own(path: str) -> None:
    policy = headers_of(path)[POLICY]
    assert policy.startswith(HEADERS[POLICY] + "; sandbox ")
    assert "allow-same-origin" not in policy
    assert "allow-top-navigation" not in policy


@pytest.mark.parametrize("path", ["drift/brand_choice/2025-01-01.html", "distributions.html", "", "customers/pages.js"])
def test_other_pages_have_none(path: str) -> None:
    assert headers_of(path) == HEADERS


def test_only_scripts_that_never_change_are_kept_by_the_browser() -> None:
    name = "Cache-Control"
    assert "max-age=86400" in headers_of("assets/plotly.min.js")[name]
    assert headers_of("assets/plotly.min.js") | {name: ""} == dict(HEADERS) | {name: ""}
    assert "no-cache" in headers_of("customers/pages.js")[name]
