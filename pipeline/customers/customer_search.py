"""The search for a customer on the customers page, which works without a service, also from a file on disk.

The page holds where each part of the list begins; the customers are in scripts beside it, `CHUNK` in each, of which the
browser loads those that a search needs. So the page stays small with any number of customers. Scripts are used because
a page from disk may load them, but no data. Their names have a digest of their content: a page that is written again
never meets a part that a browser has kept from before.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.reports.page import Section
from pipeline.reports.parts import write_part
from pipeline.reports.phrasing import count, number_format
from pipeline.reports.templates import html_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.lake.tables import Lake

FUNCTION = "aisleSearch"
"""The function of the page that takes a part of the list."""
CHUNK = 500
MAX_CUSTOMERS = 200_000
"""Above it a night would write too many megabytes for a search that the prediction service answers as well."""
SHOWN_PRODUCTS = 5
FIELDS = (
    "customer_id", "segment_name", "member", "revenue", "invoices", "recency_days", "expected_revenue",
    "expected_revenue_low", "expected_revenue_high", "purchase_chance", "alive", "buy again", "new to you",
)  # fmt: skip
"""The places of a customer's values in a part."""


def search_section(
    lake: Lake, as_of: dt.date, customers: pd.DataFrame, lists: Mapping[str, pd.Series], names: Mapping[str, str]
) -> Section:
    """Write the parts beside the page of a day and return the section that searches them.

    Args:
        lake: where the pages are.
        as_of: the day of the page.
        customers: one row per customer: those of `FIELDS` that are known.
        lists: "buy again" and "new to you", as far as they were made: customer -> stock codes.
        names: stock code -> description.
    """
    if len(customers) > MAX_CUSTOMERS:
        return Section(
            "Find a customer",
            [
                f"{count(len(customers))} customers are too many for a search on this page: the prediction service "
                "answers GET /customers/{customer}."
            ],
        )
    rows = _rows(customers, lists)
    folder = f"{as_of}-customers"
    parts = [
        (str(rows[at][0]), write_part(lake, f"customers/{folder}", FUNCTION, ["customers", rows[at : at + CHUNK]]))
        for at in range(0, len(rows), CHUNK)
    ]
    shown = {code for row in rows for products in row[-2:] for code in products}
    products = write_part(
        lake,
        f"customers/{folder}",
        FUNCTION,
        ["products", {code: names[code] for code in sorted(shown) if code in names}],
    )
    widget = html_template("pipeline.customers", "search.html").render(
        parts=parts,
        products=products,
        folder=folder,
        fields=FIELDS,
        style=number_format(),
        example=parts[0][0] if parts else "",
    )
    return Section(
        "Find a customer",
        [f"{count(len(rows))} customers as of {as_of}: type a number or its beginning."],
        widget=widget,
    )


def _rows(customers: pd.DataFrame, lists: Mapping[str, pd.Series]) -> list[list[Any]]:
    """The values of each customer in the order of `FIELDS`; None for what is not known."""
    found = customers.reindex(columns=list(FIELDS)).set_index("customer_id", drop=False)
    for name in ("buy again", "new to you"):
        products: dict[Any, Any] = lists[name].to_dict() if name in lists else {}
        found[name] = [list(products.get(customer, ()))[:SHOWN_PRODUCTS] for customer in found.index]
    rows = [[_plain(value) for value in row] for row in found.itertuples(index=False)]
    # A browser compares texts by UTF-16 units.
    return sorted(rows, key=lambda row: str(row[0]).encode("utf-16-be", "surrogatepass"))


def _plain(value: Any) -> Any:
    """A value as JSON holds it, numbers with four digits."""
    if isinstance(value, list | str):
        return value
    if value is None or math.isnan(value):
        return None
    return float(f"{value:.4g}") if abs(value) < 1 else round(float(value), 1)
