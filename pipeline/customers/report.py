"""The customers page: the segments as of a day, their revenue and profiles, and how their number was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.customers.customer_lists import segment_anchors
from pipeline.customers.labels import LABELS
from pipeline.lake.tables import Lake
from pipeline.registry.records import ModelVersion
from pipeline.reports.charts import figure_json, wrapped
from pipeline.reports.labels import label_of
from pipeline.reports.page import Link, Section, Table, Tile, write_page
from pipeline.reports.phrasing import amount, count, currency_sentence, decimal, percent, share

MIN_WIDTH = 620
"""Pixels of the picture of the segments, below which its figures cannot be read."""


@dataclass(frozen=True)
class CustomersReport:
    """The content of the page.

    Attributes:
        as_of: the day of the features and scores.
        window_days: the days before it that the features use.
        champion: the version that assigned the segments.
        choice: how the number of segments was chosen, with its curve, as stored with the model.
        profile: one row per segment, see `segment_map.profile`.
        guests: revenue of guests and of known customers, see `features.guest_revenue`.
        further: sections about what the domain's other models say.
    """

    as_of: date
    window_days: int
    champion: ModelVersion
    choice: Mapping[str, Any]
    profile: pd.DataFrame
    guests: Mapping[str, float]
    further: Sequence[Section] = ()


def write_customers_report(lake: Lake, report: CustomersReport) -> str:
    """Write the page and return its path below home."""
    profile = report.profile
    first = profile.iloc[0]
    customers, revenue = profile["customers"].sum(), profile["revenue"].sum()
    tiles = [
        Tile("customers", count(customers)),
        Tile("revenue, net of returns", amount(revenue)),
        Tile(f"of this revenue from {first['segment_name']}", share(first["revenue"], revenue)),
        Tile("of all revenue from guests", percent(report.guests["guest_share"])),
        Tile("segments", str(len(profile))),
    ]
    return write_page(
        lake,
        f"customers/{report.as_of}",
        "Customers",
        f"As of {report.as_of}, from the {report.window_days} days before. "
        f"Segments by version {report.champion.version} of customer segments, "
        f"trained as of {report.champion.provenance.as_of}. {currency_sentence()}",
        [
            _segments_section(profile, report.guests),
            _profiles_section(profile, report.champion.provenance.features),
            *report.further,
            _choice_section(report.choice),
        ],
        tiles,
    )


def _segments_section(profile: pd.DataFrame, guests: Mapping[str, float]) -> Section:
    first = profile.iloc[0]
    anchors = segment_anchors(profile["segment_name"])
    figure = go.Figure(
        [
            go.Bar(name="of customers", x=profile["segment_name"], y=100 * profile["share"]),
            go.Bar(name="of revenue", x=profile["segment_name"], y=100 * profile["revenue_share"]),
        ],
        layout={"barmode": "group", "yaxis": {"title": "%"}},
    )
    return Section(
        "Who brings the revenue",
        [
            f"The {count(first['customers'])} {first['segment_name']} are {percent(first['share'])} of the "
            f"customers and bring {percent(first['revenue_share'])} of their revenue, "
            f"{amount(first['revenue_per_customer'])} each.",
            f"Guests brought another {amount(guests['guest_revenue'])}. Their lines name no customer, so they are in "
            "no segment.",
        ],
        Table(
            ("segment", "customers", "share", "revenue", "share of revenue", "revenue per customer"),
            [
                (
                    Link(row["segment_name"], f"#{anchors[row['segment_name']]}"),
                    count(row["customers"]),
                    percent(row["share"]),
                    amount(row["revenue"]),
                    percent(row["revenue_share"]),
                    amount(row["revenue_per_customer"]),
                )
                for row in profile.to_dict("records")
            ],
            frozenset(range(1, 6)),
        ),
        figure_json(figure),
    )


def _profiles_section(profile: pd.DataFrame, features: Sequence[str]) -> Section:
    means = profile[[f"mean_{feature}" for feature in features]].to_numpy(dtype=float)
    average = profile["share"].to_numpy(dtype=float) @ means
    # A feature whose average is 0 has no ratio: its cells stay blank.
    ratio = np.divide(means, average, out=np.full_like(means, np.nan), where=average != 0)
    figure = go.Figure(
        go.Heatmap(
            z=ratio.T,
            x=profile["segment_name"],
            y=[wrapped(label_of(LABELS, feature).title) for feature in features],
            text=[
                [label_of(LABELS, feature).bare(cell) for cell in row]
                for feature, row in zip(features, means.T, strict=True)
            ],
            texttemplate="%{text}",
            colorscale="RdBu",
            reversescale=True,
            zmin=0,
            zmax=2,
            colorbar={"title": "ratio to<br>average"},
        ),
        layout={"meta": {"min_width": MIN_WIDTH}},
    )
    return Section(
        "What each segment is like",
        [
            "The cells are the means of the features that the segments were made from. The colour is the ratio to the "
            "average customer: white is the average, red is above it, blue is below it."
        ],
        figure=figure_json(figure),
    )


def _choice_section(choice: Mapping[str, Any]) -> Section:
    curve, reason = choice["curve"], str(choice["reason"])
    ks = [point["k"] for point in curve]
    figure = go.Figure(
        [
            go.Scatter(name="silhouette", x=ks, y=[point["silhouette"] for point in curve]),
            go.Scatter(name="stability", x=ks, y=[point["stability"] for point in curve]),
            go.Scatter(name="smallest share", x=ks, y=[point["smallest_share"] for point in curve]),
            go.Scatter(name="inertia (right axis)", x=ks, y=[point["inertia"] for point in curve], yaxis="y2"),
        ],
        layout={
            "xaxis": {"title": "number of segments", "dtick": 1},
            "yaxis2": {"overlaying": "y", "side": "right", "showgrid": False},
        },
    )
    return Section(
        "Why this number of segments",
        [reason[:1].upper() + reason[1:] + "."],
        Table(
            ("segments", "silhouette", "stability", "smallest share", "verdict"),
            [
                (
                    str(point["k"]),
                    decimal(point["silhouette"], 3),
                    decimal(point["stability"], 3),
                    percent(point["smallest_share"]),
                    point["refused"] or ("chosen" if point["k"] == choice["k"] else "admissible"),
                )
                for point in curve
            ],
            frozenset(range(4)),
            {"chosen": "good"},
        ),
        figure_json(figure),
    )
