"""Pages open without a network, escape all text, and show warnings at the top."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.page import Link, Notice, Section, Table, Tile, framed, write_page
from pipeline.reports.ways import Related
from pipeline.settings import Settings

FIGURE = '{"data": [], "layout": {}}'


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Settings(home=str(tmp_path)))


def test_a_page_without_pictures_does_without_plotly(lake: Lake) -> None:
    path = write_page(
        lake, "a/b/c", "Title", "below", [Section("One", ["said"], Table(("n",), [("1",)], frozenset({0})))]
    )
    assert path == "reports/a/b/c.html"
    html = lake.path(path).read_text()
    assert "plotly" not in html
    assert '<td class="number">1</td>' in html
    assert not lake.path("reports/assets/plotly.min.js").exists()


def test_a_page_loads_only_scripts_that_are_there(lake: Lake) -> None:
    with framed(related=[Related("drift", "drift/model")]):
        html = lake.path(write_page(lake, "a/b/c", "T", "", [Section("One", figure=FIGURE)])).read_text()
    found = re.findall(r'<script src="([^"]+)">', html)
    assert {"../../pages.js", "../../a/b/pages.js", "../../drift/model/pages.js"} < set(found)
    assert all(lake.path("reports/a/b", script).exists() for script in found)


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


def test_what_surrounds_a_page_is_on_every_page_that_is_written_within(lake: Lake) -> None:
    with framed([Notice("Outer.")], links=[Link("The run", "https://example.org/?a=1&b")]), framed([Notice("Inner.")]):
        inside = lake.path(write_page(lake, "a", "T", "", [], warnings=["Own."])).read_text()
    outside = lake.path(write_page(lake, "b", "T", "", [])).read_text()
    assert re.findall(r"</strong> (\w+\.)", inside) == ["Outer.", "Inner.", "Own."]
    assert 'href="https://example.org/?a=1&amp;b"' in inside
    assert "Warning" not in outside
    assert "example.org" not in outside


def test_sections_have_names_by_which_other_pages_link_to_them(lake: Lake) -> None:
    sections = [Section("Who brings the revenue"), Section("–"), Section("Who brings the revenue")]
    html = lake.path(write_page(lake, "a", "T", "", sections)).read_text()
    assert re.findall(r'<section id="([^"]+)">', html) == [
        "who-brings-the-revenue",
        "section",
        "who-brings-the-revenue-2",
    ]
