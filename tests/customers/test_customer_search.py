"""The search for a customer in a real browser, from files on disk as from a server; planted text stays text."""

from __future__ import annotations

import re
from datetime import date
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from pipeline.customers.customer_lists import SHOWN, lists_section, segment_anchors
from pipeline.customers.customer_search import CHUNK, search_section
from pipeline.lake.tables import Lake
from pipeline.reports.csv_text import read_csv
from pipeline.reports.page import write_page
from pipeline.reports.phrasing import NumberStyle, written_in
from pipeline.settings import Settings
from tests.browser import MESSAGE, PLANTED, document, served

DAY = date(2025, 7, 10)
FORMULA = "=1+1"
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
    customers = customers.assign(recency_days=2.0).astype({"customer_id": object})
    customers.loc[[1, 2], ["segment_name", "revenue"]] = [["others", 12.5], ["others", 99_999.0]]
    customers.loc[2, "customer_id"] = FORMULA
    lists = {"buy again": pd.Series({"00510": ["A"]})}
    with written_in(NumberStyle(currencies={"transactions": "GBP"}, table="transactions")):
        sections = [
            search_section(lake, DAY, customers, lists, {"A": PLANTED}),
            lists_section(lake, DAY, customers, [PLANTED, "others"]),
        ]
    write_page(lake, "customers/a", "Customers", "", sections)
    return home / "reports"


def opened(reports: Path, text: str, *, on_disk: bool) -> str:
    """The page after a search, the address of the page on disk having what is searched; planted text did not run."""
    if on_disk:
        page = reports / "customers" / "a.html"
        html = document(f"{page.as_uri()}#customer={text}")
    else:
        with served(reports, {}, SEARCH.replace("TEXT", repr(text))) as address:
            html = document(f"{address}/customers/a.html#segment-others")
    assert f'data-heard="{MESSAGE}' not in html
    return html


def searched(reports: Path, text: str, *, on_disk: bool) -> str:
    """What the page shows after a search, as text."""
    found = re.search(r'id="customer-text".*?(?=<style>)', opened(reports, text, on_disk=on_disk), re.DOTALL)
    assert found
    return words(found[0])


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html)))


@pytest.mark.parametrize("on_disk", [True, False], ids=["from disk", "from a server"])
def test_a_customer_of_a_later_part_is_found_with_texts_as_texts(reports: Path, on_disk: bool) -> None:
    found = searched(reports, "00510", on_disk=on_disk)
    assert "Customer 00510" in found
    assert f"A {PLANTED}" in found
    assert "£1,235 net of returns on 3 invoices" in found


def test_a_beginning_lists_customers_of_both_parts_and_a_stranger_is_not_found(reports: Path) -> None:
    listed = searched(reports, "0049", on_disk=True)
    assert "Customers that begin with 0049: 00490, 00491" in listed
    assert "No customer of the window begins with 9." in searched(reports, "9", on_disk=True)


def test_a_link_to_a_segment_shows_its_customers_and_its_file_has_all_of_them(reports: Path) -> None:
    html = opened(reports, "00510", on_disk=False)
    place = html.partition('id="segment-others"')[2].partition("</details>")[0]
    assert 'open=""' in place.partition(">")[0]
    assert words(place.partition(">")[2]).split(" The most revenue first. ")[1].split() == [
        *("All", "2", "as", "CSV", "customer", "revenue", "invoices", "days", "since", "purchase"),
        *(FORMULA, "£99,999", "3", "2", "00001", "£12.50", "3", "2"),
    ]
    folder = reports / "customers" / f"{DAY}-customers"
    rows = read_csv((folder / "segment-others.csv").read_text(), "others")
    assert rows[1:] == [[FORMULA, "others", "99999.00", "3", "2"], ["00001", "others", "12.50", "3", "2"]]
    planted = segment_anchors([PLANTED])[PLANTED]
    assert len(read_csv((folder / f"{planted}.csv").read_text(), "planted")) == 1 + CHUNK + 18
    assert f"The {SHOWN} with the most revenue of {CHUNK + 18}." in html
