"""A crawler follows the links of all pages in a browser: each can be used, by everybody, and needs nothing else."""

from __future__ import annotations

import base64
import json
import re
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pipeline.domains import DOMAINS
from pipeline.ingestion.number_style import number_style
from pipeline.lake.tables import Lake
from pipeline.reports.csv_text import escape_cell, read_csv, split_cells
from pipeline.reports.labels import METRICS
from pipeline.reports.page import Section, Table, write_page
from pipeline.reports.phrasing import amount, counted, written_in
from pipeline.settings import Settings
from tests.browser import document, served
from tests.written_pages import MLFLOW, written_pages

TESTS = Path(__file__).resolve().parents[1]
AXE = TESTS / "vendor" / "axe-core" / "axe.min.js"
LISTEN = """<script>
window.faults = []
addEventListener("error", (e) => faults.push(e.message || `${e.target.src || e.target.href} is not loaded`), true)
addEventListener("unhandledrejection", (e) => faults.push(String(e.reason)))
addEventListener("securitypolicyviolation", (e) => faults.push(`${e.violatedDirective}: ${e.blockedURI}`))
console.error = console.warn = (...parts) => faults.push(parts.join(" "))
</script>"""
DAY = "2025-07-01"
UNITS = Table(
    ("sales", "change", "revenue, £", "mixed"),
    [("£7,966,373", "+31.1 %", "-£6.62", "£3"), ("–", "-0.3 %", "£12", "4 %"), ("£1,024.50", "0.0 %", "+£1,000", "5")],
)
START = ["index.html", "planted.html"]
CELLS = ["=1+1", "+44 20", "-3", "-0.3 %", "@x", '"a", b', "1,234,567", "1,234.5", " x", "＝1", "'=1", "–", "a;b"]
MAX_BYTES = 1_000_000
DARK_GROUND = "rgb(18, 22, 28)"
"""The background of a page in the dark."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return written_pages(tmp_path_factory)


@pytest.fixture(scope="module")
def crawled(settings: Settings) -> dict[str, Any]:
    """What the browser saw: `seen`, by path, and `status` of every address on this server that is linked."""
    tables = Table(("x",), [(cell,) for cell in CELLS]), UNITS
    write_page(Lake(settings), "planted", "Planted", "", [Section("Planted", table=table) for table in tables])
    task = {"start": START, "axe": "axe.js", "measured": [f"/stores/{DAY}.html"]}
    page = (TESTS / "crawl.html").read_text().replace("TASK", json.dumps(task))
    reports = Path(settings.home) / "reports"
    with served(reports, {"crawl": page, "axe.js": AXE.read_text()}, LISTEN) as address:
        html = document(f"{address}/crawl", 600_000)
    found = json.loads(unescape(html.split("<output>", 1)[1].split("</output>", 1)[0]).replace(address, ""))
    assert found["seen"].keys() >= {"/index.html", "/all.html", *(f"/{domain.name}/{DAY}.html" for domain in DOMAINS)}
    return found  # type: ignore[no-any-return]


def of_pages(crawled: dict[str, Any], what: str) -> dict[str, Any]:
    return {path: page[what] for path, page in crawled["seen"].items() if page[what]}


def test_no_link_is_dead(crawled: dict[str, Any]) -> None:
    assert [link for link, status in crawled["status"].items() if status != 200] == []
    assert of_pages(crawled, "missing") == {}


def test_every_page_has_a_title_and_one_heading(crawled: dict[str, Any]) -> None:
    titles = of_pages(crawled, "title")
    assert titles.keys() == crawled["seen"].keys()
    assert {page["headings"] for page in crawled["seen"].values()} == {1}


def test_no_script_fails_and_nothing_is_missed(crawled: dict[str, Any]) -> None:
    assert of_pages(crawled, "faults") == {}


def test_pages_ask_only_for_the_scripts_beside_them(crawled: dict[str, Any]) -> None:
    asked = {address for page in crawled["seen"].values() for address in page["requested"]}
    # What the browser turns a picture into is its own.
    assert {address for address in asked if not address.endswith(".js") and not address.startswith("blob:")} == set()
    assert all(address.startswith(("/", "blob:")) for address in asked)
    outside = {link for page in crawled["seen"].values() for link in page["links"] if not link.startswith("/")}
    assert outside
    assert all(link.startswith(f"{MLFLOW}/#/models/") for link in outside)


def test_pages_keep_the_rules_of_accessibility(crawled: dict[str, Any]) -> None:
    assert of_pages(crawled, "violations") == {}


def test_pages_keep_them_in_the_dark_on_a_phone(crawled: dict[str, Any]) -> None:
    phones = of_pages(crawled, "phone")
    assert {page["ground"] for page in phones.values()} == {DARK_GROUND}
    assert {path: page["violations"] for path, page in phones.items() if page["violations"]} == {}


def test_nothing_is_wider_than_a_phone(crawled: dict[str, Any]) -> None:
    assert {path: page["wide"] for path, page in of_pages(crawled, "phone").items() if page["wide"]} == {}


def test_every_table_is_saved_as_csv_without_formulas(crawled: dict[str, Any]) -> None:
    planted = crawled["seen"]["/planted.html"]["tables"][0]
    expected = [[cell.replace(",", "") if cell[0] == "1" else cell] for cell in CELLS]
    assert read_csv(planted["csv"], "planted")[1:] == expected
    tables = [table for page in crawled["seen"].values() for table in page["tables"]]
    assert len(tables) > 20
    for table in tables:
        rows = read_csv(table["csv"], "table")
        shown = [row for row in table["cells"] if row != [""]]
        assert [len(row) for row in rows] == [len(row) for row in shown]
        cells = [cell for row in split_cells(table["csv"], "table") for cell in row]
        assert [cell for cell in cells if not cell.startswith("'") and escape_cell(cell) != cell] == []


def test_figures_of_a_saved_table_are_numbers_with_their_unit_in_the_heading(crawled: dict[str, Any]) -> None:
    saved = crawled["seen"]["/planted.html"]["tables"][1]
    assert read_csv(saved["csv"], "planted") == [
        ["sales, £", "change, %", "revenue, £", "mixed"],
        ["7966373", "+31.1", "-6.62", "£3"],
        ["–", "-0.3", "12", "4 %"],
        ["1024.50", "0.0", "+1000", "5"],
    ]


def test_a_chart_is_saved_as_a_picture(crawled: dict[str, Any]) -> None:
    ((picture, *_),) = of_pages(crawled, "pictures").values()
    content = base64.b64decode(picture.removeprefix("data:image/png;base64,"))
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_pages_are_small_without_the_shared_scripts(settings: Settings) -> None:
    reports = Path(settings.home) / "reports"
    pages = [path for path in reports.rglob("*.html") if "distributions" not in path.parts]
    assert {reports / domain.name / f"{DAY}.html" for domain in DOMAINS} <= set(pages)
    assert {path.name: path.stat().st_size for path in pages if path.stat().st_size > MAX_BYTES} == {}


def test_links_and_the_search_of_the_morning_page_work_from_disk(settings: Settings) -> None:
    reports = Path(settings.home) / "reports"
    lake = Lake(settings)
    features = lake.read("customer_features", where={"as_of": [date.fromisoformat(DAY)]}).to_pylist()
    customer = max(features, key=lambda row: row["revenue"])
    search = f"""<script>addEventListener("load", () => {{ const field = document.getElementById("find-customer");
        field.value = "{customer["customer_id"]}"; field.form.requestSubmit(); }});</script>"""
    morning = reports / ".searched.html"
    morning.write_text((reports / "index.html").read_text().replace("<head>", f"<head>{search}", 1))
    html = document(morning.as_uri())
    morning.unlink()
    with written_in(number_style(settings, "transactions")):
        revenue = f"{amount(customer['revenue'])} net of returns on {counted(customer['invoices'], 'invoice')}"
    assert f"<dt>Customer</dt><dd>{customer['customer_id']}</dd>" in html
    assert f"<dd>{revenue}</dd>" in html
    assert re.findall(r'<label for="(find-\w+)">([^<]*)<', html) == [("find-customer", "Find a customer")]
    for link in (
        "../index.html",
        "../all.html",
        f"../drift/customer_segments/{DAY}.html",
        "../validation/transactions/till--2025-06-30.csv.html",
    ):
        assert f'href="{link}"' in html
        assert (reports / "customers" / link).exists()


def test_columns_and_errors_are_called_by_words(settings: Settings) -> None:
    """Neither a text nor a chart has the name of a feature or of a metric as the code writes it."""
    labels = {name for domain in DOMAINS for name in domain.labels()}
    names = "|".join(sorted(name for name in {*labels, *METRICS} if "_" in name))
    reports = Path(settings.home) / "reports"
    found: dict[str, set[str]] = {}
    for path in reports.rglob("*.html"):
        # The page of a delivery shows the columns as they are delivered, and Evidently's those that it compared.
        if {"validation", "distributions"}.isdisjoint(path.relative_to(reports).parts):
            html = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", path.read_text(), flags=re.S)
            text = re.sub(r'(href|id|src|value)="[^"]*"', "", html)
            if raw := set(re.findall(rf"\b(?:{names})\b", text)):
                found[path.relative_to(reports).as_posix()] = raw
    assert found == {}
