"""The lists of pages: what they hold, and that no page is missing whoever else writes at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.page import Section, write_page
from pipeline.reports.ways import ensure_lists, page_script, store_scripts, write_list, write_lists
from pipeline.settings import Settings


@pytest.fixture(params=["folder", "bucket"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    home = str(tmp_path / "home") if request.param == "folder" else f"memory://ways{tmp_path}"
    return Lake(Settings(home=home))


def listed(lake: Lake, folder: str) -> Any:
    text = lake.path("reports", folder, "pages.js").read_text()
    name, _, pages = text.removeprefix("(window.aislePages ??= {})[").rstrip(";\n").partition("] = ")
    assert json.loads(name) == folder
    return json.loads(pages)


def test_a_page_is_listed_with_those_before_it_in_the_order_of_their_days(lake: Lake) -> None:
    for name in ("a/2025-01-03", "a/2025-01-01", "a/2025-01-02", "a/below/2025-01-04", "b/2025-01-05"):
        write_page(lake, name, "T", "", [Section("One")])
    assert listed(lake, "a") == ["2025-01-01", "2025-01-02", "2025-01-03"]
    assert listed(lake, "a/below") == ["2025-01-04"]
    assert listed(lake, "") == []


def test_pages_of_an_earlier_release_are_listed_with_the_next_one(lake: Lake) -> None:
    lake.write_blob("reports/a/2025-01-01.html", b"old")
    write_page(lake, "a/2025-01-02", "T", "", [Section("One")])
    assert listed(lake, "a") == ["2025-01-01", "2025-01-02"]


def test_a_list_that_is_there_is_not_written_for_a_page_that_only_reads_it(lake: Lake) -> None:
    ensure_lists(lake, ["a"])
    lake.write_blob("reports/a/2025-01-01.html", b"page")
    ensure_lists(lake, ["a"])
    assert listed(lake, "a") == []


def test_a_page_that_arrives_while_the_list_is_written_is_in_the_list(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer has written its page and its list before this one writes a list without that page."""
    write, waiting = Lake.write_blob, ["a/2025-01-02"]

    def write_after_the_other(self: Lake, path: str, data: bytes) -> Any:
        if path.endswith("a/pages.js") and waiting:
            write(self, f"reports/{waiting.pop()}.html", b"page")
        return write(self, path, data)

    monkeypatch.setattr(Lake, "write_blob", write_after_the_other)
    lake.write_blob("reports/a/2025-01-01.html", b"page")
    write_list(lake, "a")
    assert listed(lake, "a") == ["2025-01-01", "2025-01-02"]


def test_pages_that_are_written_at_once_are_all_listed(tmp_path: Path) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    days = [f"2025-01-{day:02}" for day in range(1, 13)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda day: write_page(lake, f"a/{day}", "T", "", [Section("One")]), days))
    assert listed(lake, "a") == days


def test_removed_pages_leave_the_lists(lake: Lake) -> None:
    for name in ("a/2025-01-01", "a/2025-01-02", "b/x"):
        write_page(lake, name, "T", "", [Section("One")])
    lake.path("reports/a/2025-01-01.html").unlink()
    write_lists(lake)
    assert listed(lake, "a") == ["2025-01-02"]
    assert listed(lake, "b") == ["x"]


def test_the_script_of_an_earlier_release_stays_for_its_pages(lake: Lake) -> None:
    lake.write_blob("reports/assets/page-000000000000.js", b"old")
    store_scripts(lake, plotly=False)
    path, content = page_script()
    assert lake.path("reports", path).read_bytes() == content
    assert lake.path("reports/assets/page-000000000000.js").read_bytes() == b"old"
