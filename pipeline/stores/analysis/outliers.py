"""Outliers: the store days that are far from the usual of their store, weekday and promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import counted, long_date, share, signed_percent
from pipeline.stores.analysis.base import dates
from pipeline.stores.outliers import SCORE_THRESHOLD, mark_outliers

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir

HEADING = "Outliers"
SAMPLE = 3000
"""Days drawn that are not marked."""
SHOWN = 3000
"""Marked days drawn, the furthest from the usual first."""


@dataclass(frozen=True)
class Marked:
    """Attributes:
    days: open days with sales. above, below: how many of them are marked, above and below the usual.
    furthest: store, day, sales, usual, score of the `SHOWN` furthest. sample: the same of days that are not marked.
    by_store: marked days by store, most first.
    """

    days: int
    above: int
    below: int
    furthest: pd.DataFrame
    sample: pd.DataFrame
    by_store: pd.Series


def marked(store_days: ir.Table, as_of: date, *, seed: int) -> Marked:
    """Mark them in the engine and bring what is drawn.

    Args:
        seed: of the sample, which a hash of store and day draws: the same days each time.
    """
    days = mark_outliers(store_days, as_of)
    signs = days.agg(
        days=days.count(),
        above=(days.outlier & (days.score > 0)).cast("int64").sum(),
        below=(days.outlier & (days.score < 0)).cast("int64").sum(),
    )
    row = signs.to_pandas().fillna(0).iloc[0]
    far = days.filter(days.outlier)
    by_store = far.group_by("store").agg(n=far.count()).to_pandas().sort_values(["n", "store"], ascending=[False, True])
    draw = (days.store.cast("string") + ":" + days.day.cast("string") + f":{seed}").hash()
    plain = days.filter(~days.outlier & days.score.notnull())
    return Marked(
        int(row["days"]),
        int(row["above"]),
        int(row["below"]),
        dates(far.order_by(far.score.abs().desc(), "store", "day").limit(SHOWN).drop("outlier").to_pandas()),
        dates(plain.order_by(draw).limit(SAMPLE).drop("outlier").to_pandas()),
        by_store.set_index("store")["n"],
    )


def marked_section(found: Marked) -> Section:
    """The marked days among a sample of the others."""
    total = found.above + found.below
    if not total:
        return Section(HEADING, [f"None of {counted(found.days, 'open store day')} is marked as an outlier."])
    most, times = found.by_store.index[0], found.by_store.iloc[0]
    sentences = [
        f"{counted(total, 'open store day is', 'open store days are')} marked, {share(total, found.days)} of all: "
        f"{found.above:,} above and {found.below:,} below what is usual for the store on that weekday, with or without "
        f"promotion (modified z-score beyond {SCORE_THRESHOLD}). They stay in the data.",
        f"They are of {counted(len(found.by_store), 'store')}"
        + (f"; most, {times:,}, are store {most}'s." if len(found.by_store) > 1 else "."),
    ]
    if total > len(found.furthest):
        sentences.append(f"The picture shows the {len(found.furthest):,} furthest away.")
    figure = go.Figure()
    for name, part, colour, symbol, size in (
        ("not marked, a sample", found.sample, GREY, "circle", 4),
        ("marked", found.furthest.sort_values("day"), COLOURS[1], "x", 6),
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
                    f"{row['sales']:,.0f}",
                    f"{row['usual']:,.0f}",
                    signed_percent(100 * (row["sales"] / row["usual"] - 1)),
                    f"{row['score']:+.1f}",
                )
                for row in found.furthest.head(10).to_dict("records")
            ],
            frozenset(range(2, 6)),
        ),
        figure_json(figure, xaxis={"type": "date"}, yaxis={"title": "sales against the usual, %"}),
    )
