"""Sections on competitors: sales by their distance, and the change of a store's sales when a competitor opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json, stacked_figure, with_opacity
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    above_or_below,
    count,
    counted,
    more_or_less,
    percent_change,
    signed,
    signed_percent,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from pipeline.stores.analysis.promotions import Uplift

MONTH_DAYS = 30
MONTHS_COMPARED = 6
"""Months of `MONTH_DAYS` days before the opening that are compared with as many after it."""
MIN_OPEN_DAYS = 60
"""Open days that a store needs before the opening, and as many after it."""
BANDS = 5
NEAR_METRES = 1000
Z_95 = 1.96
HEADING_DISTANCE = "Distance of competitors"
HEADING_OPENED = "When a competitor opens"


@dataclass(frozen=True)
class OpeningEffect:
    """The change of sales when a competitor opens, as differences of logs relative to the control stores.

    Attributes:
        stores: by store: effect, distance of the competitor (m) and since (the day on which it opened).
        months: by month from the opening (-1 is the last before it): excess (mean change relative to the store's own
            months before), low and high (95 % interval), stores (how many have that month).
        effect: mean effect over stores; NaN if there are none.
        low: lower end of the 95 % interval of `effect`; NaN with fewer than two stores, as `high`.
        high: upper end.
        near: mean effect of competitors within `NEAR_METRES`; NaN if there are none.
        far: mean effect of the others; NaN if there are none.
        controls: number of control stores.
    """

    stores: pd.DataFrame
    months: pd.DataFrame
    effect: float
    low: float
    high: float
    near: float
    far: float
    controls: int


def opening_effect(open_days: ir.Table, stores: ir.Table) -> OpeningEffect:
    """Estimate the effect of a competitor's opening by differences in differences.

    A store's excess over its usual sales is taken relative to that of the control stores on the same day, and the
    `MONTHS_COMPARED` months from the opening on are compared with those before it. Control stores are those where no
    competitor opened within the days of the data.

    Args:
        open_days: the table of `base.open_days`.
        stores: the clean table of stores.
    """
    ends = open_days.agg(first=open_days.day.min(), last=open_days.day.max()).to_pyarrow().to_pylist()[0]
    since = stores.competition_since
    inside = since.between(ibis.date(ends["first"]), ibis.date(ends["last"])).fill_null(False)
    competitors = stores.select("store", "competition_since", "competition_distance", inside=inside)
    d = open_days.select("store", "day", "excess").join(competitors, "store")
    days = d.mutate(
        relative=d.excess - d.excess.mean(where=~d.inside).over(ibis.window(group_by="day")),
        month=(d.day.delta(d.competition_since, unit="day") / MONTH_DAYS).floor().cast("int64"),
    )
    compared = days.filter(days.inside & days.month.between(-MONTHS_COMPARED, MONTHS_COMPARED - 1))
    store_months = compared.group_by("store", "competition_distance", "competition_since", "month").agg(
        total=compared.relative.sum(), n=compared.relative.count()
    )
    controls = int(stores.filter(~inside).count().to_pyarrow().as_py())
    return _differences(store_months.to_pandas(), controls)


def opening_section(found: OpeningEffect) -> Section:
    """Show the change by month, and the stores with the largest losses."""
    if found.stores.empty:
        return Section(
            HEADING_OPENED,
            [
                "No competitor opened near a store with enough open days before and after, and with other stores to "
                "compare it with."
            ],
        )
    significance = (
        "a significant loss" if found.high < 0 else "a significant gain" if found.low > 0 else "not significant"
    )
    sentences = [
        f"A competitor opened near {counted(len(found.stores), 'store')} within the days of the data. In the "
        f"{MONTHS_COMPARED * MONTH_DAYS} days from the opening on they sold "
        f"{more_or_less(percent_change(found.effect))} than in the {MONTHS_COMPARED * MONTH_DAYS} days before, "
        f"relative to {counted(found.controls, 'store')} without an opening on the same days (95 % interval "
        f"{signed_percent(percent_change(found.low))} to {signed_percent(percent_change(found.high))}: {significance})."
    ]
    if np.isfinite(found.near) and np.isfinite(found.far):
        sentences.append(
            f"The change is {signed_percent(percent_change(found.near))} for competitors within {NEAR_METRES:,} m and "
            f"{signed_percent(percent_change(found.far))} for those further away."
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
    figure.update_xaxes(title="months before (−) and after the opening; 0 is the first month", dtick=1)
    figure.update_yaxes(title="change relative to other stores, %")
    worst = found.stores.nsmallest(10, "effect")
    return Section(
        HEADING_OPENED,
        sentences,
        Table(
            ("largest losses", "competitor opened", "distance, m", "change in sales"),
            [
                (
                    f"store {store}",
                    f"{row['since']:%B %Y}",
                    count(row["distance"]),
                    signed_percent(percent_change(row["effect"])),
                )
                for store, row in worst.iterrows()
            ],
            frozenset({2, 3}),
        ),
        figure_json(figure),
    )


def distance_section(stores: pd.DataFrame, uplift: Uplift) -> Section:
    """Show sales and the effect of promotions by the distance of the nearest competitor.

    Args:
        stores: by store: competition_distance (m, may be missing) and sales (mean of an open day).
        uplift: the effect of promotions by store.
    """
    known = stores[stores["competition_distance"].notna() & stores["sales"].notna()]
    if len(known) < BANDS or known["competition_distance"].nunique() < 2:
        return Section(
            HEADING_DISTANCE,
            ["The distance of the nearest competitor is known for too few stores, or it is the same for all."],
        )
    band = pd.qcut(known["competition_distance"], BANDS, duplicates="drop")
    bands = known.join(uplift.stores["sales"].rename("uplift")).groupby(band, observed=True)
    table = bands.agg(
        stores=("sales", "size"), sales=("sales", "median"), uplift=("uplift", "mean"),
        low=("competition_distance", "min"), high=("competition_distance", "max"),
    )  # fmt: skip
    labels = [f"{count(row['low'])}–{count(row['high'])} m" for row in table.to_dict("records")]
    rank = known["competition_distance"].corr(known["sales"], method="spearman")
    sentences = [
        f"The distance of the nearest competitor is known for {len(known):,} of {counted(len(stores), 'store')}; the "
        f"median is {count(known['competition_distance'].median())} m.",
        f"The fifth of the stores with the nearest competitors ({labels[0]}) sells "
        f"{above_or_below(100 * (table['sales'].iloc[0] / table['sales'].iloc[-1] - 1))} the fifth with the furthest "
        f"ones ({labels[-1]}); these are medians of the mean sales of an open day. Over all stores, the rank "
        f"correlation of sales and distance is {signed(rank)}"
        + (
            ", so there is hardly any relation."
            if abs(rank) < 0.1
            else ". It reflects the locations of stores; it is not the effect of a competitor."
        ),
    ]
    figure = stacked_figure(["median sales of an open day", "effect of promotions on sales"])
    figure.add_bar(x=labels, y=table["sales"], marker_color=COLOURS[0], showlegend=False, row=1, col=1)
    figure.add_bar(
        x=labels, y=table["uplift"].map(percent_change), marker_color=COLOURS[2], showlegend=False, row=2, col=1
    )
    figure.update_yaxes(title="sales per day", row=1, col=1)
    figure.update_yaxes(title="%", row=2, col=1)
    return Section(HEADING_DISTANCE, sentences, figure=figure_json(figure, heights=2))


def _differences(store_months: pd.DataFrame, controls: int) -> OpeningEffect:
    """Compare before and after, store by store, from the sum and the number of days of each store and month."""
    store_months = store_months.assign(after=store_months["month"] >= 0)
    total, n = (
        store_months.pivot_table(index="store", columns="after", values=name, aggfunc="sum").reindex(
            columns=[False, True]
        )
        for name in ("total", "n")
    )
    enough = n.index[(n.fillna(0) >= MIN_OPEN_DAYS).all(axis=1)] if controls else n.index[:0]
    means = (total / n).loc[enough]
    attributes = store_months.drop_duplicates("store").set_index("store")
    stores = pd.DataFrame(
        {
            "effect": means[True] - means[False],
            "distance": attributes["competition_distance"].reindex(means.index).astype(float),
            "since": pd.to_datetime(attributes["competition_since"]).reindex(means.index),
        }
    )
    used = store_months[store_months["store"].isin(stores.index) & (store_months["n"] > 0)]
    # Relative to the store's own months before, so that the mean does not change when stores enter or leave.
    change = used["total"] / used["n"] - used["store"].map(means[False])
    months = change.groupby(used["month"]).agg(["mean", "sem", "size"])
    months.columns = pd.Index(["excess", "error", "stores"])
    half = Z_95 * months["error"].fillna(0)
    months = months.assign(low=months["excess"] - half, high=months["excess"] + half).drop(columns="error")
    effects = stores["effect"].to_numpy(float)
    effect = float(effects.mean()) if len(effects) else np.nan
    error = float(effects.std(ddof=1) / np.sqrt(len(effects))) if len(effects) > 1 else np.nan
    is_near = stores["distance"] <= NEAR_METRES
    return OpeningEffect(
        stores,
        months,
        effect,
        effect - Z_95 * error,
        effect + Z_95 * error,
        float(stores["effect"][is_near].mean()),
        float(stores["effect"][~is_near].mean()),
        controls,
    )
