"""The search for a customer in a real browser, from files on disk as from a server; planted text stays text."""

from __future__ import annotations

import re
from datetime import date
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from pipeline.customers.customer_search import CHUNK, search_section
from pipeline.lake.tables import Lake
from pipeline.reports.page import write_page
from pipeline.settings import Settings
from tests.browser import MESSAGE, PLANTED, document, served

DAY = date(2025, 7, 10)
SEARCH = """<script>addEventListener("message", (event) => { document.body.dataset.heard = event.data; });
addEventListener("load", () => { document.getElementById("customer").value = TEXT;
document.getElementById("find").requestSubmit(); });</script>"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of more customers than fit into one part, with a hostile product."""
    home = tmp_path_factory.mktemp("home")
    lake = Lake(Settings(home=str(home)))
    ids = [f"{number:05}" for number in range(CHUNK + 20)]
    customers = pd.DataFrame({"customer_id": ids, "segment_name": PLANTED, "revenue": 1234.5, "invoices": 3.0})
    lists = {"buy again": pd.Series({"00510": ["A"]})}
    write_page(lake, "customers/a", "Customers", "", [search_section(lake, DAY, customers, lists, {"A": PLANTED})])
    return home / "reports"


def searched(reports: Path, text: str, *, on_disk: bool) -> str:
    """What the page shows after a search, as text; that planted text ran is an error."""
    script = SEARCH.replace("TEXT", repr(text))
    if on_disk:
        page = reports / "customers" / "searched.html"
        page.write_text((reports / "customers" / "a.html").read_text().replace("<head>", f"<head>{script}", 1))
        html = document(page.as_uri())
    else:
        with served(reports, {}, script) as address:
            html = document(f"{address}/customers/a.html")
    assert f'data-heard="{MESSAGE}' not in html
    found = re.search(r'id="customer-text".*?(?=<style>)', html, re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", found[0])))


@pytest.mark.parametrize("on_disk", [True, False], ids=["from disk", "from a server"])
def test_a_customer_of_a_later_part_is_found_with_texts_as_texts(reports: Path, on_disk: bool) -> None:
    found = searched(reports, "00510", on_disk=on_disk)
    assert "Customer 00510" in found
    assert f"A {PLANTED}" in found
    assert "1,235 net of returns on 3 invoices" in found


def test_a_beginning_lists_customers_of_both_parts_and_a_stranger_is_not_found(reports: Path) -> None:
    listed = searched(reports, "0049", on_disk=True)
    assert "Customers that begin with 0049: 00490, 00491" in listed
    assert "No customer of the window begins with 9." in searched(reports, "9", on_disk=True)
