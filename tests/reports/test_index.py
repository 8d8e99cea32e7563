"""The index lists every page, newest first; a file outside of the reports is not there, by whatever way it is asked."""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.index import SHOWN, find_pages, index_page, read_file
from pipeline.settings import Settings


@pytest.fixture(params=["folder", "bucket"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    home = str(tmp_path / "home") if request.param == "folder" else f"memory://bucket{tmp_path}"
    return Lake(Settings(home=home))


def write(lake: Lake, *names: str) -> None:
    for name in names:
        lake.write_blob(f"reports/{name}", name.encode())


def links(html: str) -> list[str]:
    return re.findall(r'<a href="([^"]+)">', html)


def test_pages_are_found_by_folder_newest_day_first(lake: Lake) -> None:
    # Written in another order than that of their days, as a backfill does.
    write(lake, "customers/2025-01-02.html", "customers/2025-01-03.html", "customers/2025-01-01.html", "top.html")
    write(lake, "drift/m/2025-01-02.html", "drift/m/2025-01-02.json", "assets/plotly.min.js", "customers/.half.html")
    found = {folder: [page.name for page in pages] for folder, pages in find_pages(lake).items()}
    assert found == {"": ["top"], "customers": ["2025-01-03", "2025-01-02", "2025-01-01"], "drift/m": ["2025-01-02"]}


def test_pages_that_name_no_day_go_by_when_they_were_written(tmp_path: Path) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    write(lake, "validation/t/a.csv.html", "validation/t/b.csv.html", "validation/t/c--2030-01-01.csv.html")
    for name, at in (("a", 1_700_000_000), ("b", 1_600_000_000)):
        os.utime(tmp_path / f"reports/validation/t/{name}.csv.html", (at, at))
    assert [page.name for page in find_pages(lake)["validation/t"]] == ["c--2030-01-01.csv", "a.csv", "b.csv"]


def test_a_new_page_is_seen_at_once(lake: Lake) -> None:
    assert "No pages yet" in index_page(lake)
    write(lake, "customers/2025-01-01.html")
    assert links(index_page(lake)) == ["./customers/2025-01-01.html"]


def test_the_index_shows_the_newest_and_leads_to_all(lake: Lake) -> None:
    days = [f"2025-01-{day:02}" for day in range(1, SHOWN + 3)]
    write(lake, *(f"customers/{day}.html" for day in days), "customersx/y.html")
    shown = links(index_page(lake))
    assert shown[:SHOWN] == [f"./customers/{day}.html" for day in reversed(days[2:])]
    assert shown[SHOWN:] == ["./customers/", "./customersx/y.html"]
    assert links(index_page(lake, "customers")) == [f"./{day}.html" for day in reversed(days)]


@pytest.mark.parametrize("name", ["a b#1?&%2e.csv", "ä", "<b>"])
def test_a_link_of_any_name_leads_to_its_page(lake: Lake, name: str) -> None:
    write(lake, f"validation/t/{name}.html")
    html = index_page(lake, "validation")
    (link,) = links(html)
    path = unquote(urljoin("http://x/", unescape(link)).removeprefix("http://x/"))
    assert read_file(lake, f"validation/{path}") == (f"validation/t/{name}.html".encode(), "text/html; charset=utf-8")
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("assets/plotly.min.js", "text/javascript; charset=utf-8"),
        ("a/b.json", "application/json"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.png", "image/png"),
    ],
)
def test_a_file_comes_with_its_type(lake: Lake, name: str, kind: str) -> None:
    write(lake, name)
    assert read_file(lake, name) == (name.encode(), kind)


@pytest.mark.parametrize(
    "path",
    [
        "missing.html",
        "../secret.html",
        "a/../../secret.html",
        "a/./b.html",
        "..\\secret.html",
        "/{home}/secret.html",
        "//{home}/secret.html",
        "{home}/secret.html",
        "file:///{home}/secret.html",
        "file::{home}/secret.html",
        "simplecache::memory://bucket{home}/secret.html",
        "a/.hidden.html",
        "a/b.html/c.html",
        "a/b.html\0",
        "a/b.txt",
        "a/b.svg",
        "a",
        "a/folder.html",
        "",
    ],
)
def test_what_may_not_be_read_is_not_there(lake: Lake, path: str) -> None:
    lake.write_blob("secret.html", b"secret")
    write(lake, "a/b.html", "a/b.txt", "a/b.svg", "a/.hidden.html", "a/folder.html/x.html")
    assert read_file(lake, "a/b.html") is not None
    assert read_file(lake, path.format(home=lake.home.path)) is None


def test_a_symbolic_link_leads_nowhere_outside(tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    home.mkdir()
    (tmp_path / "home").symlink_to(home)
    lake = Lake(Settings(home=str(tmp_path / "home")))
    write(lake, "a/b.html")
    (home / "secret.html").write_text("secret")
    (home / "reports/out.html").symlink_to(home / "secret.html")
    (home / "reports/outside").symlink_to(home)
    (home / "reports/inside.html").symlink_to(home / "reports/a/b.html")
    assert read_file(lake, "out.html") is None
    assert read_file(lake, "outside/secret.html") is None
    assert read_file(lake, "inside.html") == (b"a/b.html", "text/html; charset=utf-8")
