"""Outliers: store days whose sales are far from usual sales of their store, weekday and promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import amount, counted, long_date, share, signed, signed_percent
from pipeline.stores.analysis.base import with_timestamps
from pipeline.stores.outliers import SCORE_THRESHOLD, mark_outliers

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir

HEADING = "Outliers"
MAX_SAMPLE = 3000
"""Days in the chart that are not outliers."""
MAX_SHOWN = 3000
"""Outliers in the chart: those furthest from usual sales."""


@dataclass(frozen=True)
class OutlierSummary:
    """Outliers among the open days with sales.

    Attributes:
        days: number of open days with sales.
        above: number of outliers above usual sales.
        below: number of outliers below usual sales.
        furthest: store, day, sales, usual, score of the `MAX_SHOWN` outliers furthest from usual sales.
        sample: the same of a sample of other days.
        by_store: number of outliers by store, largest first.
    """

    days: int
    above: int
    below: int
    furthest: pd.DataFrame
    sample: pd.DataFrame
    by_store: pd.Series


def summarise_outliers(store_days: ir.Table, as_of: date, *, seed: int) -> OutlierSummary:
    """Find the outliers in the engine, and read those that are shown.

    Args:
        store_days: the clean table.
        as_of: the first day that is not known.
        seed: of the sample, which is drawn by a hash of store and day: the same days each time.
    """
    days = mark_outliers(store_days, as_of)
    counts = days.agg(
        days=days.count(),
        above=(days.outlier & (days.score > 0)).cast("int64").sum(),
        below=(days.outlier & (days.score < 0)).cast("int64").sum(),
    )
    row = counts.to_pandas().fillna(0).iloc[0]
    far = days.filter(days.outlier)
    by_store = far.group_by("store").agg(n=far.count()).to_pandas().sort_values(["n", "store"], ascending=[False, True])
    draw = (days.store.cast("string") + ":" + days.day.cast("string") + f":{seed}").hash()
    others = days.filter(~days.outlier & days.score.notnull())
    furthest = far.order_by(far.score.abs().desc(), "store", "day").limit(MAX_SHOWN)
    return OutlierSummary(
        int(row["days"]),
        int(row["above"]),
        int(row["below"]),
        with_timestamps(furthest.drop("outlier").to_pandas()),
        with_timestamps(others.order_by(draw).limit(MAX_SAMPLE).drop("outlier").to_pandas()),
        by_store.set_index("store")["n"],
    )


def outliers_section(found: OutlierSummary) -> Section:
    """Show the outliers and a sample of the other days."""
    total = found.above + found.below
    if not total:
        return Section(HEADING, [f"None of {counted(found.days, 'open store day')} is an outlier."])
    most, times = found.by_store.index[0], found.by_store.iloc[0]
    sentences = [
        f"{counted(total, 'open store day is an outlier', 'open store days are outliers')}, "
        f"{share(total, found.days)} of all: {found.above:,} above and {found.below:,} below usual sales of the store "
        f"on that weekday, with or without promotion (modified z-score beyond {SCORE_THRESHOLD}). They stay in the "
        "data.",
        f"They belong to {counted(len(found.by_store), 'store')}"
        + (f"; store {most} has most of them, {times:,}." if len(found.by_store) > 1 and times > 1 else "."),
    ]
    if total > len(found.furthest):
        sentences.append(f"The chart shows the {len(found.furthest):,} furthest from usual sales.")
    figure = go.Figure()
    for name, part, colour, symbol, size in (
        ("other days, a sample", found.sample, GREY, "circle", 4),
        ("outliers", found.furthest.sort_values("day"), COLOURS[1], "x", 6),
    ):
        figure.add_scatter(
            name=name,
            x=part["day"].dt.strftime("%Y-%m-%d"),
            y=(100 * (part["sales"] / part["usual"] - 1)).round(1),
            text=[f"store {store}" for store in part["store"]],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": size, "opacity": 0.6},
        )
    return Section(
        HEADING,
        sentences,
        Table(
            ("furthest from the usual", "day", "sales", "usual", "difference", "score"),
            [
                (
                    f"store {row['store']}",
                    long_date(row["day"]),
                    amount(row["sales"]),
                    amount(row["usual"]),
                    signed_percent(100 * (row["sales"] / row["usual"] - 1)),
                    signed(row["score"], 1),
                )
                for row in found.furthest.head(10).to_dict("records")
            ],
            frozenset(range(2, 6)),
        ),
        figure_json(figure, xaxis={"type": "date"}, yaxis={"title": "sales relative to usual, %"}),
    )
