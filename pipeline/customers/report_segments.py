"""Sections of the customers page about what each segment is like, in figures, as a picture and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go

from pipeline.customers.labels import LABELS
from pipeline.reports.charts import COLOURS, figure_json, with_opacity
from pipeline.reports.labels import label_of
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import amount, count, listed, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS: Mapping[str, tuple[str, str]] = {
    "recency_days": ("bought long ago", "bought recently"),
    "invoices": ("buy often", "buy seldom"),
    "revenue": ("bring much revenue", "bring little revenue"),
    "average_ticket": ("have large invoices", "have small invoices"),
    "distinct_products": ("buy many different products", "buy few different products"),
    "median_basket_units": ("buy many units at once", "buy few units at once"),
    "cancellation_rate": ("cancel often", "hardly ever cancel"),
}
"""What is said of a segment that has more, or less, of a feature than other customers."""
MIN_GAP = 0.1
"""A segment is described by the features in which its mean rank is this far from the middle, 0.5."""
MAX_TRAITS = 3


def segment_profiles(customers: pd.DataFrame) -> pd.DataFrame:
    """The mean rank of each segment in each feature of `WORDS`: 0.5 is the middle of all customers, 1 the highest.

    Ranks make features comparable whatever their unit and however long their tail.

    Args:
        customers: one row per customer: segment_name and the features.

    Returns:
        One row per segment (the index), one column per feature.
    """
    ranks = customers[list(WORDS)].rank(pct=True) - 0.5 / len(customers)
    return ranks.groupby(customers["segment_name"]).mean()


def in_words(ranks: Mapping[Any, float]) -> str:
    """What sets a segment apart, the clearest first, by its mean ranks."""
    clearest = sorted(ranks, key=lambda feature: -abs(ranks[feature] - 0.5))
    found = [WORDS[name][0 if ranks[name] > 0.5 else 1] for name in clearest if abs(ranks[name] - 0.5) >= MIN_GAP]
    return listed(found[:MAX_TRAITS]) if found else "like the average customer"


def segment_sections(customers: pd.DataFrame, order: list[str]) -> list[Section]:
    """What each segment is like.

    Args:
        customers: one row per customer: segment_name and the features.
        order: the names of the segments as the page orders them.
    """
    ranks = segment_profiles(customers).to_dict("index")
    groups = customers.groupby("segment_name")
    medians: Mapping[Any, Any] = groups.median(numeric_only=True).to_dict("index")
    sums: Mapping[Any, Any] = groups[["units", "return_units"]].sum().to_dict("index")
    features = list(WORDS)
    circle = [*features, features[0]]
    figure = go.Figure(
        [
            go.Scatterpolar(
                name=name,
                r=[round(100 * ranks[name][feature], 1) for feature in circle],
                theta=[label_of(LABELS, feature).text for feature in circle],
                fill="toself",
                fillcolor=with_opacity(COLOURS[k % len(COLOURS)], 0.12),
                line={"color": COLOURS[k % len(COLOURS)]},
            )
            for k, name in enumerate(order)
        ],
        layout={
            "polar": {
                # Room for the label at the top, below the legend.
                "domain": {"y": [0, 0.9]},
                "bgcolor": "rgba(0,0,0,0)",
                "radialaxis": {"range": [0, 100], "gridcolor": "rgba(128,128,128,0.25)", "tickvals": [25, 50, 75]},
                "angularaxis": {"gridcolor": "rgba(128,128,128,0.25)"},
            }
        },
    )
    return [
        Section(
            "What sets each segment apart",
            [
                "The picture has the mean rank of each segment's customers among all customers: 50 is the middle, 100 "
                "is the customer who has most of the feature. The words name what is farthest from the middle.",
            ],
            Table(
                ("segment", "days since purchase", "invoices", "ticket", "products", "units returned", "customers who"),
                [
                    (
                        name,
                        count(medians[name]["recency_days"]),
                        count(medians[name]["invoices"]),
                        amount(medians[name]["average_ticket"]),
                        count(medians[name]["distinct_products"]),
                        percent(sums[name]["return_units"] / max(1.0, sums[name]["units"])),
                        in_words(ranks[name]),
                    )
                    for name in order
                ],
                frozenset(range(1, 6)),
            ),
            figure_json(figure, heights=2),
        )
    ]
