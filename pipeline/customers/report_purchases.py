"""Sections of the customers page about regions, kinds of purchases, and cohorts."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.customers.cohorts import MAX_COHORTS
from pipeline.customers.product_names import product_name
from pipeline.customers.purchase_kinds import FACTORS, Invoices, levers
from pipeline.customers.regions import GROWTH_DAYS, NO_REGION
from pipeline.reports.charts import figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    MISSING,
    amount,
    count,
    counted,
    decimal,
    listed,
    percent,
    price,
    share,
    signed_percent,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN_COUNTRIES = 25
FIRST_COHORT = "The first cohort also holds those who were customers before the data begin, so it stays higher."
RISE = 0.1
"""The rise of the average invoice for which levers are shown."""
FACTOR_WORDS = {"lines": "the number of lines", "units_per_line": "the units per line", "price": "the price of a unit"}


def region_sections(places: pd.DataFrame, names: Mapping[str, str]) -> list[Section]:
    """Revenue by region and country; no section if no line names a country.

    Args:
        places: see `regions.revenue_by_place`.
        names: stock code -> description.
    """
    regions, countries = places[places["country"].isna()], places[places["country"].notna()]
    if set(countries["country"]) <= {NO_REGION}:
        return []
    total = float(regions["revenue"].sum())
    first, shop = countries.iloc[0], _growth(regions["latest"].sum(), regions["before"].sum())
    sentences = [
        f"{first['country']} brings {share(first['revenue'], total)} of the revenue of the window, which is of "
        f"{counted(len(countries), 'country', 'countries')}. Guests are included, except in the number of customers.",
        f"Growth is the revenue of the last {GROWTH_DAYS} days against the {GROWTH_DAYS} days before them. "
        + (
            "There are too few days for it yet."
            if shop == MISSING
            else f"That of the whole shop is {shop}: a country with less than that falls behind, whatever the season."
        ),
    ]
    if len(countries) > SHOWN_COUNTRIES:
        rest = countries.iloc[SHOWN_COUNTRIES:]
        sentences.append(
            f"{counted(len(rest), 'further country', 'further countries')} with "
            f"{share(rest['revenue'].sum(), total)} of the revenue are not shown."
        )
    shown = countries.head(SHOWN_COUNTRIES)
    headings = ("customers", "invoices", "revenue", "share", "growth", "best products")
    return [
        Section(
            "Regions",
            sentences,
            Table(
                ("region", *headings),
                [(row["region"], *_place(row, total, names)) for row in regions.to_dict("records")],
                frozenset(range(1, 6)),
            ),
        ),
        Section(
            "Countries",
            table=Table(
                ("country", "region", *headings),
                [
                    (row["country"], _region(row["region"]), *_place(row, total, names))
                    for row in shown.to_dict("records")
                ],
                frozenset(range(2, 7)),
            ),
        ),
    ]


def kind_sections(invoices: Invoices) -> list[Section]:
    """Personal, bulk and reseller purchases, and what would raise the average invoice."""
    table, kinds = invoices.table, invoices.kinds
    total, number = float(table["revenue"].sum()), float(table["invoices"].sum())
    bulk, reseller = kinds.thresholds
    bounds = {
        "personal": f"below {decimal(bulk, 1)}",
        "bulk": f"{decimal(bulk, 1)} to {decimal(reseller, 1)}",
        "reseller": f"from {decimal(reseller, 1)}",
    }
    figure = go.Figure(
        [
            go.Bar(name="of purchases", x=table["kind"], y=100 * table["invoices"] / number),
            go.Bar(name="of revenue", x=table["kind"], y=100 * table["revenue"] / total),
        ],
        layout={"barmode": "group", "yaxis": {"title": "%"}},
    )
    return [
        Section(
            "Kinds of purchases",
            [
                "A purchase is personal, bulk or of a reseller by its units per line (units sold / lines). The "
                f"thresholds are learned from the window's {count(number)} purchases as a mixture of three normal "
                f"distributions of the logarithm: {decimal(bulk, 1)} and {decimal(reseller, 1)} units per line, "
                f"between the centres {listed(decimal(centre, 1) for centre in kinds.centres)}.",
                f"For {percent(kinds.unsure)} of the purchases the kind has a probability below 80 %: they lie near a "
                "threshold, and the groups are not sharply divided.",
            ],
            Table(
                (
                    "kind", "units per line", "purchases", "share", "customers", "revenue", "of revenue",
                    "invoice", "lines", "unit price",
                ),
                [
                    (
                        str(row["kind"]),
                        bounds[row["kind"]],
                        count(row["invoices"]),
                        share(row["invoices"], number),
                        count(row["customers"]),
                        amount(row["revenue"]),
                        share(row["revenue"], total),
                        amount(row["value"]),
                        decimal(row["lines"], 1),
                        price(row["price"]),
                    )
                    for row in table.to_dict("records")
                ],
                frozenset(range(1, 10)),
            ),
            figure_json(figure),
        ),
        _levers_section(invoices, total / number),
    ]  # fmt: skip


def cohort_section(retention: pd.DataFrame) -> list[Section]:
    """A heatmap and a table of cohort retention, see `cohorts.retention`."""
    ages = [int(age) for age in retention.columns if age not in ("customers", 0)]
    if retention.empty or not ages:
        return []
    months = [f"{month:%Y-%m}" for month in retention.index]
    shares = retention[ages]
    figure = go.Figure(
        go.Heatmap(
            z=[[None if math.isnan(cell) else 100 * cell for cell in row] for row in shares.to_numpy(dtype=float)],
            x=ages,
            y=months,
            colorscale="Blues",
            zmin=0,
            zmax=100 * float(np.nanmax(shares.to_numpy(dtype=float))),
            colorbar={"title": "%"},
            hovertemplate="first purchase %{y}, %{x} months later: %{z:.1f} %<extra></extra>",
        ),
        layout={
            "xaxis": {"title": "months after the first purchase", "dtick": 1},
            "yaxis": {"type": "category", "autorange": "reversed"},
        },
    )
    weights = retention["customers"].to_numpy(dtype=float)
    followed = shares[1].notna().to_numpy()
    mean = float((shares[1].to_numpy(dtype=float)[followed] * weights[followed]).sum() / weights[followed].sum())
    return [
        Section(
            "Cohort retention",
            [
                "Customers by the month of their first purchase, and how many of them bought something in each later "
                f"month. {percent(mean)} buy again in the month after their first. Only months that have ended count.",
                *([FIRST_COHORT] if len(retention) < MAX_COHORTS else []),
            ],
            Table(
                ("first purchase", "customers", *(str(age) for age in ages)),
                [
                    (month, count(size), *("" if math.isnan(cell) else percent(cell, 0) for cell in row))
                    for month, size, row in zip(months, weights, shares.to_numpy(dtype=float), strict=True)
                ],
                frozenset(range(1, 2 + len(ages))),
            ),
            figure_json(figure),
        )
    ]


def _levers_section(invoices: Invoices, average: float) -> Section:
    found = levers(invoices.table, RISE)
    explained = {name: invoices.explained[name] for name in FACTORS}
    strongest = max(explained, key=lambda name: explained[name])
    rows = [
        ("further lines on each invoice", f"{decimal(found['lines'], 1)} of today's average value"),
        ("further units on each invoice", f"{count(found['units'])} of today's average price"),
        ("higher prices", f"{percent(found['price'], 0)}, if nobody bought less for it"),
    ]
    kinds = invoices.table["kind"].tolist()
    for kind, following in itertools.pairwise(kinds):
        moved = found[f"shift:{kind}"]
        needed = f"{percent(moved)} of the {kind} purchases" if moved <= 1 else "not possible by this alone"
        rows.append((f"{kind} purchases that become {following} purchases", needed))
    return Section(
        f"What would raise the average invoice by {percent(RISE, 0)}",
        [
            f"The average invoice is {amount(average)}. The value of an invoice is lines times units per line times "
            f"price of a unit. Of the differences between invoices, {_listed_shares(explained)}. So "
            f"{FACTOR_WORDS[strongest]} is the lever that moves invoices most; this describes invoices as they are and "
            "does not prove what an offer would change.",
        ],
        Table((f"each by itself raises it by {percent(RISE, 0)}", "how much is needed"), rows),
    )


def _listed_shares(explained: Mapping[str, float]) -> str:
    return listed(
        f"{percent(round(value, 2) + 0.0, 0)} go with {FACTOR_WORDS[name]}" for name, value in explained.items()
    )


def _place(row: Mapping[Any, Any], total: float, names: Mapping[str, str]) -> tuple[str, ...]:
    return (
        count(row["customers"]),
        count(row["invoices"]),
        amount(row["revenue"]),
        share(row["revenue"], total),
        _growth(row["latest"], row["before"]),
        "; ".join(product_name(code, names) for code in row["products"]),
    )


def _growth(latest: float, before: float) -> str:
    return signed_percent(100 * (latest / before - 1), 0) if before > 0 else MISSING


def _region(name: str) -> str:
    return "" if name == NO_REGION else name
