"""Competitors: what their distance goes with, and what happens to a store when one opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json, stacked_figure, with_opacity
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import above_or_below, counted, more_or_less, percent_change, signed_percent

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from pipeline.stores.analysis.promotions import Uplift

MONTH = 30
BEFORE_AND_AFTER = 6
"""Months of `MONTH` days compared."""
FEWEST = 60
"""Open days that a store needs before the opening, and after it."""
BANDS = 5
NEAR_METRES = 1000
SURE = 1.96
HEADING_DISTANCE = "Distance of competitors"
HEADING_OPENED = "When a competitor opens"


@dataclass(frozen=True)
class Opened:
    """What changed when a competitor opened.

    Attributes:
        stores: by store: effect (log sales after less before, against the stores where none opened), distance, since.
        months: by month from the opening (-1 is the last before): excess, low, high (95 %), stores.
        effect, low, high: mean over stores and its 95 % interval; NaN without any.
        near, far: mean effect within `NEAR_METRES` and beyond; NaN without any.
        controls: stores that they are compared with.
    """

    stores: pd.DataFrame
    months: pd.DataFrame
    effect: float
    low: float
    high: float
    near: float
    far: float
    controls: int


def opened(open_days: ir.Table, stores: ir.Table) -> Opened:
    """Differences in differences: a store's excess over its usual against that of stores where nothing opened that day.

    Compared are `BEFORE_AND_AFTER` months before the opening with as many from it on. Other stores are those whose
    competitor did not open within the days of the data.
    """
    ends = open_days.agg(first=open_days.day.min(), last=open_days.day.max()).to_pyarrow().to_pylist()[0]
    since = stores.competition_since
    inside = since.between(ibis.date(ends["first"]), ibis.date(ends["last"])).fill_null(False)
    kinds = stores.select("store", "competition_since", "competition_distance", inside=inside)
    d = open_days.select("store", "day", "excess").join(kinds, "store")
    days = d.mutate(
        against=d.excess - d.excess.mean(where=~d.inside).over(ibis.window(group_by="day")),
        month=(d.day.delta(d.competition_since, unit="day") / MONTH).floor().cast("int64"),
    )
    near = days.filter(days.inside & days.month.between(-BEFORE_AND_AFTER, BEFORE_AND_AFTER - 1))
    cells = near.group_by("store", "competition_distance", "competition_since", "month").agg(
        total=near.against.sum(), n=near.against.count()
    )
    controls = int(stores.filter(~inside).count().to_pyarrow().as_py())
    return _differences(cells.to_pandas(), controls)


def opened_section(found: Opened) -> Section:
    """Months before and after, and the stores that lost most."""
    if found.stores.empty:
        return Section(
            HEADING_OPENED,
            [
                "No competitor opened within the data with enough open days of its store before and after, and stores "
                "to compare with."
            ],
        )
    sure = "surely less" if found.high < 0 else "surely more" if found.low > 0 else "it may as well be nothing"
    sentences = [
        f"At {counted(len(found.stores), 'store')} a competitor opened within the data. In the "
        f"{BEFORE_AND_AFTER * MONTH} days from then on they sold {more_or_less(percent_change(found.effect))} than "
        "in the "
        f"{BEFORE_AND_AFTER * MONTH} before, against {counted(found.controls, 'store')} where none did on the same "
        "days "
        f"(95 % interval {signed_percent(percent_change(found.low))} to "
        f"{signed_percent(percent_change(found.high))}: {sure})."
    ]
    if np.isfinite(found.near) and np.isfinite(found.far):
        sentences.append(
            f"Where it is within {NEAR_METRES:,} m the change is {signed_percent(percent_change(found.near))}, "
            "further away "
            f"{signed_percent(percent_change(found.far))}."
        )
    months = found.months
    figure = go.Figure()
    figure.add_scatter(
        x=[*months.index, *months.index[::-1]],
        y=[percent_change(value) for value in [*months["high"], *months["low"][::-1]]],
        fill="toself",
        fillcolor=with_opacity(COLOURS[0], 0.2),
        line={"width": 0},
        name="95 % interval",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=months.index.to_numpy(),
        y=[percent_change(value) for value in months["excess"]],
        mode="lines+markers",
        line={"color": COLOURS[0]},
        name="mean of stores",
    )
    figure.add_vline(x=-0.5, line_dash="dash", line_color=COLOURS[1])
    figure.update_xaxes(title="months before (−) and after; 0 is the first", dtick=1)
    figure.update_yaxes(title="against others and the time before, %")
    worst = found.stores.nsmallest(10, "effect")
    return Section(
        HEADING_OPENED,
        sentences,
        Table(
            ("fell most", "opened", "distance, m", "change"),
            [
                (
                    f"store {store}",
                    f"{row['since']:%B %Y}",
                    f"{row['distance']:,.0f}" if np.isfinite(row["distance"]) else "–",
                    signed_percent(percent_change(row["effect"])),
                )
                for store, row in worst.iterrows()
            ],
            frozenset({2, 3}),
        ),
        figure_json(figure),
    )


def distance_section(stores: pd.DataFrame, uplift: Uplift) -> Section:
    """Sales and the effect of promotions by distance of the nearest competitor.

    Args:
        stores: by store: competition_distance (m, may be missing) and sales (mean of an open day).
    """
    known = stores[stores["competition_distance"].notna() & stores["sales"].notna()]
    if len(known) < BANDS or known["competition_distance"].nunique() < 2:
        return Section(
            HEADING_DISTANCE, ["Of too few stores the distance of a competitor is known, or it is the same."]
        )
    band = pd.qcut(known["competition_distance"], BANDS, duplicates="drop")
    bands = known.join(uplift.stores["sales"].rename("uplift")).groupby(band, observed=True)
    table = bands.agg(
        stores=("sales", "size"), sales=("sales", "median"), uplift=("uplift", "mean"),
        low=("competition_distance", "min"), high=("competition_distance", "max"),
    )  # fmt: skip
    labels = [f"{row['low']:,.0f}–{row['high']:,.0f} m" for row in table.to_dict("records")]
    rank = known["competition_distance"].corr(known["sales"], method="spearman")
    sentences = [
        f"Of {counted(len(stores), 'store')} the distance is known of {len(known):,}; the middle one has a competitor "
        "at "
        f"{known['competition_distance'].median():,.0f} m.",
        f"The nearest fifth ({labels[0]}) sells "
        f"{above_or_below(100 * (table['sales'].iloc[0] / table['sales'].iloc[-1] - 1))} "
        "the "
        f"furthest fifth ({labels[-1]}) on an open day, by the middle store. Over all stores sales and distance go "
        "together "
        f"with a rank correlation of {rank:+.2f}"
        + (": hardly at all." if abs(rank) < 0.1 else ", which is where stores are, not what a competitor does."),
    ]
    figure = stacked_figure(["middle store's sales of an open day", "rise with promotion"])
    figure.add_bar(x=labels, y=table["sales"], marker_color=COLOURS[0], showlegend=False, row=1, col=1)
    figure.add_bar(
        x=labels, y=table["uplift"].map(percent_change), marker_color=COLOURS[2], showlegend=False, row=2, col=1
    )
    figure.update_yaxes(title="sales", row=1, col=1)
    figure.update_yaxes(title="%", row=2, col=1)
    return Section(HEADING_DISTANCE, sentences, figure=figure_json(figure, heights=2))


def _differences(cells: pd.DataFrame, controls: int) -> Opened:
    cells = cells.assign(after=cells["month"] >= 0)
    total, n = (
        cells.pivot_table(index="store", columns="after", values=name, aggfunc="sum").reindex(columns=[False, True])
        for name in ("total", "n")
    )
    enough = n.index[(n.fillna(0) >= FEWEST).all(axis=1)] if controls else n.index[:0]
    means = (total / n).loc[enough]
    about = cells.drop_duplicates("store").set_index("store")
    stores = pd.DataFrame(
        {
            "effect": means[True] - means[False],
            "distance": about["competition_distance"].reindex(means.index).astype(float),
            "since": pd.to_datetime(about["competition_since"]).reindex(means.index),
        }
    )
    some = cells[cells["store"].isin(stores.index) & (cells["n"] > 0)]
    # Each store against its own months before, so that a store which enters or leaves does not bend the line.
    change = some["total"] / some["n"] - some["store"].map(means[False])
    months = change.groupby(some["month"]).agg(["mean", "sem", "size"])
    months.columns = pd.Index(["excess", "error", "stores"])
    half = SURE * months["error"].fillna(0)
    months = months.assign(low=months["excess"] - half, high=months["excess"] + half).drop(columns="error")
    effects = stores["effect"].to_numpy(float)
    effect = float(effects.mean()) if len(effects) else np.nan
    error = float(effects.std(ddof=1) / np.sqrt(len(effects))) if len(effects) > 1 else np.nan
    is_near = stores["distance"] <= NEAR_METRES
    return Opened(
        stores,
        months,
        effect,
        effect - SURE * error,
        effect + SURE * error,
        float(stores["effect"][is_near].mean()),
        float(stores["effect"][~is_near].mean()),
        controls,
    )
