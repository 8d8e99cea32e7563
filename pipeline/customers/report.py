"""The customers' page: who they are this morning, by segment, and how good the division is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.lake.tables import Lake
from pipeline.registry.records import ModelVersion
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import count, share


@dataclass(frozen=True)
class CustomersReport:
    """What the page shows.

    Attributes:
        choice: how the number of segments was chosen, with its curve, as it was stored with the model.
        profile: one row a segment, see `segment_map.profile`.
        guests: revenue of guests and of known customers, see `features.guest_revenue`.
    """

    as_of: date
    window_days: int
    champion: ModelVersion
    choice: Mapping[str, Any]
    profile: pd.DataFrame
    guests: Mapping[str, float]


def write_customers_report(lake: Lake, report: CustomersReport) -> str:
    """Write the page and return its path below home."""
    profile = report.profile
    first = profile.iloc[0]
    customers, revenue = profile["customers"].sum(), profile["revenue"].sum()
    tiles = [
        Tile("customers", count(customers)),
        Tile("revenue, net of returns", count(revenue)),
        Tile(f"of it from {first['segment_name']}", share(first["revenue"], revenue)),
        Tile("of all revenue from guests", f"{100 * report.guests['guest_share']:.1f} %"),
        Tile("segments", str(len(profile))),
    ]
    return write_page(
        lake,
        f"customers/{report.as_of}",
        "Customers",
        f"As of {report.as_of}: the {report.window_days} days before. "
        f"Segments by version {report.champion.version} of customer_segments, "
        f"trained as of {report.champion.provenance.as_of}.",
        [_segments(profile, report.guests), _profiles(profile, report.champion.provenance.features), _choice(report)],
        tiles,
    )


def _segments(profile: pd.DataFrame, guests: Mapping[str, float]) -> Section:
    first = profile.iloc[0]
    figure = go.Figure(
        [
            go.Bar(name="of customers", x=profile["segment_name"], y=100 * profile["share"]),
            go.Bar(name="of revenue", x=profile["segment_name"], y=100 * profile["revenue_share"]),
        ],
        layout={"barmode": "group", "yaxis": {"title": "per cent"}},
    )
    return Section(
        "Who brings the revenue",
        [
            f"The {count(first['customers'])} {first['segment_name']} are {100 * first['share']:.1f} % of the "
            f"customers and bring {100 * first['revenue_share']:.1f} % of their revenue, "
            f"{count(first['revenue_per_customer'])} each.",
            f"Guests brought another {count(guests['guest_revenue'])}; nobody knows who they are, so they are in no "
            "segment.",
        ],
        Table(
            ("segment", "customers", "share", "revenue", "share of revenue", "revenue a customer"),
            [
                (
                    str(row["segment_name"]),
                    count(row["customers"]),
                    f"{100 * row['share']:.1f} %",
                    count(row["revenue"]),
                    f"{100 * row['revenue_share']:.1f} %",
                    count(row["revenue_per_customer"]),
                )
                for row in profile.to_dict("records")
            ],
            frozenset(range(1, 6)),
        ),
        str(figure.to_json()),
    )


def _profiles(profile: pd.DataFrame, features: Sequence[str]) -> Section:
    means = profile[[f"mean_{feature}" for feature in features]].to_numpy(dtype=float)
    weights = profile["share"].to_numpy(dtype=float)
    average = weights @ means
    # A feature that is nobody's has no ratio: its cells stay blank.
    ratio = np.divide(means, average, out=np.full_like(means, np.nan), where=average != 0)
    labels = [feature.replace("_", " ") for feature in features]
    figure = go.Figure(
        go.Heatmap(
            z=ratio.T,
            x=profile["segment_name"],
            y=labels,
            text=[[f"{cell:,.2f}" if abs(cell) < 10 else count(cell) for cell in row] for row in means.T],
            texttemplate="%{text}",
            colorscale="RdBu",
            reversescale=True,
            zmin=0,
            zmax=2,
            colorbar={"title": "times the<br>average"},
        ),
        layout={"yaxis": {"automargin": True}},
    )
    return Section(
        "What each segment is like",
        ["The mean of each feature that the segments are made from; the colour says how many times the average it is."],
        figure=str(figure.to_json()),
    )


def _choice(report: CustomersReport) -> Section:
    curve, reason = report.choice["curve"], str(report.choice["reason"])
    ks = [point["k"] for point in curve]
    figure = go.Figure(
        [
            go.Scatter(name="silhouette", x=ks, y=[point["silhouette"] for point in curve]),
            go.Scatter(name="stability", x=ks, y=[point["stability"] for point in curve]),
            go.Scatter(name="smallest share", x=ks, y=[point["smallest_share"] for point in curve]),
            go.Scatter(name="inertia (right)", x=ks, y=[point["inertia"] for point in curve], yaxis="y2"),
        ],
        layout={
            "xaxis": {"title": "number of segments", "dtick": 1},
            "yaxis2": {"overlaying": "y", "side": "right", "showgrid": False},
            "legend": {"orientation": "h", "y": 1.15},
        },
    )
    return Section(
        "Why this many segments",
        [reason[:1].upper() + reason[1:] + "."],
        Table(
            ("segments", "silhouette", "stability", "smallest share", "verdict"),
            [
                (
                    str(point["k"]),
                    f"{point['silhouette']:.3f}",
                    f"{point['stability']:.3f}",
                    f"{100 * point['smallest_share']:.1f} %",
                    point["refused"] or ("chosen" if point["k"] == report.choice["k"] else "admissible"),
                )
                for point in curve
            ],
            frozenset(range(4)),
            {"chosen": "good"},
        ),
        str(figure.to_json()),
    )
