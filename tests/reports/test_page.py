"""Pages open without a network, escape all text, and show warnings at the top."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.settings import Settings

FIGURE = '{"data": [], "layout": {}}'


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Settings(home=str(tmp_path)))


def test_a_page_without_pictures_needs_nothing_beside_it(lake: Lake) -> None:
    path = write_page(
        lake, "a/b/c", "Title", "below", [Section("One", ["said"], Table(("n",), [("1",)], frozenset({0})))]
    )
    assert path == "reports/a/b/c.html"
    html = lake.path(path).read_text()
    assert "<script" not in html
    assert '<td class="number">1</td>' in html
    assert not lake.path("reports/assets").exists()


def test_a_picture_finds_the_script_from_any_depth(lake: Lake) -> None:
    html = lake.path(write_page(lake, "a/b/c", "T", "", [Section("One"), Section("Two", figure=FIGURE)])).read_text()
    assert '<script src="../../assets/plotly.min.js">' in html
    assert html.count('id="figure-2"') == 1
    assert lake.path("reports/assets/plotly.min.js").stat().st_size > 1_000_000


def test_text_is_escaped_everywhere(lake: Lake) -> None:
    evil = "</script><b>&"
    section = Section(evil, [evil], Table((evil,), [(evil,)]), FIGURE)
    page = write_page(lake, "x", evil, evil, [section], [Tile(evil, evil)], [evil])
    assert evil not in lake.path(page).read_text()


def test_warnings_are_sentences_above_the_figures_and_sections(lake: Lake) -> None:
    warnings = ["This page builds on a delivery with a warning: prices.", "Its customers have drifted."]
    path = write_page(lake, "x", "T", "", [Section("One")], [Tile("label", "1")], warnings)
    html = lake.path(path).read_text()
    places = [html.index(text) for text in ("<h1>", *warnings, 'class="tiles"', "<h2>One")]
    assert places == sorted(places)
    assert html.count("Warning.") == 2


def test_without_warnings_there_is_no_box_for_them(lake: Lake) -> None:
    html = lake.path(write_page(lake, "x", "T", "", [Section("One")])).read_text()
    assert "<aside" not in html


def test_a_page_leads_to_the_morning_page_and_to_the_day_before(lake: Lake) -> None:
    def ways(name: str) -> list[str]:
        html = lake.path(write_page(lake, name, "T", "", [Section("One")])).read_text()
        return re.findall(r'<a href="([^"]+)">', html)

    assert ways("drift/model/2025-03-01") == []
    lake.write_blob("reports/index.html", b"morning")
    assert ways("drift/model/2025-03-04") == ["../../index.html", "2025-03-01.html"]
    assert ways("drift/model/2025-03-30") == ["../../index.html"]
    assert ways("validation/t/till--2025-03-04.csv") == ["../../index.html"]
    assert ways("a") == ["index.html"]
