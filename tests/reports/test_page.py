"""Pages open without a network, and their pictures come from the script that lies beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import share
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
    page = write_page(
        lake, "x", evil, evil, [Section(evil, [evil], Table((evil,), [(evil,)]), FIGURE)], [Tile(evil, evil)]
    )
    assert evil not in lake.path(page).read_text()


@pytest.mark.parametrize(("part", "whole", "said"), [(1, 8, "12.5 %"), (0, 3, "0.0 %"), (1, 0, "–")])
def test_shares_are_said_in_per_cent(part: float, whole: float, said: str) -> None:
    assert share(part, whole) == said
