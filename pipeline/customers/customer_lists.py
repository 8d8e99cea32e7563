"""The customers of each segment on the customers page: those with the most revenue as a table, and all as a file."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.customers.customer_search import MAX_CUSTOMERS
from pipeline.reports.csv_text import escape_cell, join_cells
from pipeline.reports.page import REPORTS, Section
from pipeline.reports.parts import write_part
from pipeline.reports.phrasing import amount, count, counted
from pipeline.reports.templates import html_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.lake.tables import Lake

FUNCTION = "aisleSegment"
"""The function of the page that takes the rows of a segment's table."""
SHOWN = 500
"""Customers in a segment's table. All of them are in its file, which a browser loads only when it is asked for."""
COLUMNS = ("customer", "revenue", "invoices", "days since purchase", "expected revenue", "80 % interval")
FILE_COLUMNS = (
    "customer_id", "segment_name", "revenue", "invoices", "recency_days", "average_ticket", "distinct_products",
    "expected_revenue", "expected_revenue_low", "expected_revenue_high", "purchase_chance",
)  # fmt: skip


def segment_anchors(names: Iterable[str]) -> dict[str, str]:
    """The id of each segment's list on the page: segment -> id."""
    return {name: f"segment-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}" for name in names}


def lists_section(lake: Lake, as_of: dt.date, customers: pd.DataFrame, order: Sequence[str]) -> Section:
    """Write the files beside the page of a day and return the section that leads to them.

    Args:
        lake: where the pages are.
        as_of: the day of the page.
        customers: one row per customer: customer_id, segment_name, and those of `FILE_COLUMNS` that are known.
        order: the names of the segments as the page orders them.
    """
    folder, with_files = f"{as_of}-customers", len(customers) <= MAX_CUSTOMERS
    anchors, groups = segment_anchors(order), dict(list(customers.groupby("segment_name")))
    segments = []
    for name in order:
        rows = groups[name].sort_values(["revenue", "customer_id"], ascending=[False, True])
        file = f"{folder}/{anchors[name]}.csv"
        if with_files:
            lake.write_blob(f"{REPORTS}/customers/{file}", segment_file(rows).encode())
        part = write_part(lake, f"customers/{folder}", FUNCTION, _shown(rows.head(SHOWN)))
        segments.append(
            {
                "anchor": anchors[name],
                "title": f"{name}, {counted(len(rows), 'customer')}",
                "part": f"{folder}/{part}",
                "file": file if with_files else "",
                "all": f"All {count(len(rows))} as CSV",
                "shown": f"The {count(SHOWN)} with the most revenue of {count(len(rows))}."
                if len(rows) > SHOWN
                else "The most revenue first.",
            }
        )
    markup = html_template("pipeline.customers", "lists.html").render(
        segments=segments, columns=COLUMNS, function=FUNCTION
    )
    sentences = ["Open a segment to see who is in it."]
    if not with_files:
        sentences.append(
            "All of them are in the table customer_segments: there are too many for a file beside this page."
        )
    return Section("The customers of each segment", sentences, widget=markup)


def segment_file(rows: pd.DataFrame) -> str:
    """The customers of a segment as CSV; no cell starts a formula."""
    columns = [name for name in FILE_COLUMNS if name in rows]
    return join_cells([columns, *zip(*(_cells(rows[name]) for name in columns), strict=True)])


def _cells(values: pd.Series) -> list[str]:
    """The cells of a column. Only text can start a formula, and there are many numbers."""
    if pd.api.types.is_numeric_dtype(values):
        digits = 0 if (values.dropna() % 1 == 0).all() else 2
        return ["" if math.isnan(value) else f"{value:.{digits}f}" for value in values.tolist()]
    return [escape_cell(str(value)) for value in values]


def _shown(rows: pd.DataFrame) -> list[list[Any]]:
    known = "expected_revenue" in rows

    def expected(row: Mapping[Any, Any]) -> tuple[str, str]:
        if not known or math.isnan(row["expected_revenue"]):
            return "", ""
        low, high = amount(row["expected_revenue_low"]), amount(row["expected_revenue_high"])
        return amount(row["expected_revenue"]), f"{low} to {high}"

    return [
        [
            str(row["customer_id"]),
            amount(row["revenue"]),
            count(row["invoices"]),
            count(row["recency_days"]),
            *expected(row),
        ]
        for row in rows.to_dict("records")
    ]
