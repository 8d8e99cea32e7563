"""The effect of promotions on sales and customers, by weekday and by store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    WEEKDAYS,
    amount,
    count,
    counted,
    more_or_less,
    percent,
    percent_change,
    signed_percent,
    with_unit,
)
from pipeline.stores.analysis.base import largest, smallest

if TYPE_CHECKING:
    import ibis.expr.types as ir

MIN_DAYS = 3
"""Days with promotion, and days without, that a store needs on a weekday."""
Z_95 = 1.96
"""Standard errors to either side of the mean that a 95 % interval covers."""
HEADING_EFFECT = "The effect of promotions on sales and customers"
HEADING_STORES = "The effect of promotions by store"
NOT_COMPARABLE = "No store has enough days with and without promotion on the same weekday, so the effect is not known."
MEASURE_NAMES = {"sales": "sales", "customers": "customers", "a_customer": "sales per customer"}


@dataclass(frozen=True)
class Uplift:
    """The effect of promotions, as differences of logs within the same store and weekday.

    Attributes:
        overall: sales, customers and a_customer (sales per customer): means over stores; NaN where it is not known.
        weekdays: the same, one row per weekday that has days with and without promotion.
        stores: by store: the same, low and high (95 % interval of sales), and extra (additional sales per day with
            promotion, in the currency of the data).
    """

    overall: pd.Series
    weekdays: pd.DataFrame
    stores: pd.DataFrame


def measure_uplift(open_days: ir.Table) -> Uplift:
    """Compare days with and without promotion of the same store and weekday; state holidays are left out.

    A weekday with n1 days with promotion and n0 days without has the weight n1 n0 / (n1 + n0), which gives the smallest
    standard error if the variance is the same on all days. The interval treats days as independent.
    """
    days = open_days.filter(open_days.holiday == "none")
    a_customer = (days.sales / days.customers).ln()
    cells = days.group_by("store", "weekday", "promo").agg(
        n=days.count(),
        sales=days.log_sales.mean(),
        variance=days.log_sales.var(how="sample"),
        customers=days.customers.ln().mean(),
        a_customer=a_customer.mean(),
        mean=days.sales.mean(),
    )
    return _compare(cells.to_pandas())


def uplift_section(found: Uplift) -> Section:
    """Show the effect by weekday, on sales, customers and sales per customer."""
    if found.stores.empty:
        return Section(HEADING_EFFECT, [NOT_COMPARABLE])
    overall = found.overall
    sentences = [
        f"With promotion a store sells {more_or_less(percent_change(overall['sales']))} than on the same weekday "
        "without. All figures are means over stores."
    ]
    if np.isfinite(overall["customers"]):
        part = overall["customers"] / overall["sales"] if overall["sales"] else np.nan
        sentences.append(
            f"{more_or_less(percent_change(overall['customers'])).capitalize()} customers come, and each one spends "
            f"{more_or_less(percent_change(overall['a_customer']))}"
            + (f": {percent(part, 0)} of the effect are additional customers." if 0 < part < 1 else ".")
        )
    else:
        sentences.append(
            "Customers were not counted, so it is not known whether more customers come or each spends more."
        )
    if len(found.weekdays) > 1:
        best, least = largest(found.weekdays["sales"]), smallest(found.weekdays["sales"])
        sentences.append(
            f"The effect is largest on {WEEKDAYS[best]}s "
            f"({signed_percent(percent_change(found.weekdays['sales'][best]))}) and smallest on {WEEKDAYS[least]}s "
            f"({signed_percent(percent_change(found.weekdays['sales'][least]))})."
        )
    shown = [name for name in MEASURE_NAMES if np.isfinite(overall[name])]
    figure = go.Figure(
        [
            go.Bar(
                name=MEASURE_NAMES[name],
                x=[WEEKDAYS[day][:3] for day in found.weekdays.index],
                y=100 * np.expm1(found.weekdays[name].to_numpy()),
                marker_color=COLOURS[k],
            )
            for k, name in enumerate(shown)
        ]
    )
    return Section(HEADING_EFFECT, sentences, figure=figure_json(figure, yaxis={"title": "change with promotion, %"}))


def stores_section(found: Uplift, stores: pd.DataFrame) -> Section:
    """Show the distribution of the effect over stores, and the stores with the most additional sales.

    Args:
        found: the effects.
        stores: store_type and assortment, by store.
    """
    if found.stores.empty:
        return Section(HEADING_STORES, [NOT_COMPARABLE])
    by_store = found.stores.sort_values("sales", ascending=False)
    rise = 100 * np.expm1(by_store["sales"])
    raised, lowered = int((by_store["low"] > 0).sum()), int((by_store["high"] < 0).sum())
    first, last = by_store.index[0], by_store.index[-1]
    sentences = [
        f"In {count(raised)} of {counted(len(by_store), 'store')} promotions raise sales significantly (the 95 % "
        f"interval is above 0), in {count(lowered)} they lower them, and in "
        f"{count(len(by_store) - raised - lowered)} the effect is not significant.",
        f"The median effect is {signed_percent(float(rise.median()))}. It is largest in store {first} "
        f"({signed_percent(rise[first])}) and smallest in store {last} ({signed_percent(rise[last])}).",
    ]
    types = by_store.join(stores["store_type"]).groupby("store_type")["sales"].agg(["mean", "size"])
    if len(types) > 1:
        best, least = largest(types["mean"]), smallest(types["mean"])
        sentences.append(
            f"By store type, the effect is largest for type {best} "
            f"({signed_percent(percent_change(types['mean'][best]))}) and smallest for type {least} "
            f"({signed_percent(percent_change(types['mean'][least]))})."
        )
    sentences.append(
        "Whether a promotion is profitable depends on margin and discount, which are not in the data. The chart shows "
        "in how many stores the effect is at least as large as a promotion needs."
    )
    figure = go.Figure(
        go.Scatter(
            x=rise.to_numpy(),
            y=100 * np.arange(1, len(rise) + 1) / len(rise),
            text=[f"store {store}" for store in rise.index],
            mode="lines",
            line={"color": COLOURS[0]},
        )
    )
    best_ten = by_store.nlargest(10, "extra")
    return Section(
        HEADING_STORES,
        sentences,
        Table(
            (
                "most additional sales per day",
                "type",
                "assortment",
                "effect on sales",
                "95 % interval",
                "effect on customers",
                with_unit("additional sales per day"),
            ),
            [
                (
                    f"store {store}",
                    str(stores["store_type"].get(store, "–")),
                    str(stores["assortment"].get(store, "–")),
                    signed_percent(percent_change(row["sales"])),
                    f"{signed_percent(percent_change(row['low']))} to {signed_percent(percent_change(row['high']))}",
                    signed_percent(percent_change(row["customers"])),
                    amount(row["extra"]),
                )
                for store, row in best_ten.iterrows()
            ],
            frozenset(range(3, 7)),
        ),
        figure_json(
            figure,
            xaxis={"title": "effect of promotion on sales, % (at least)"},
            yaxis={"title": "share of stores, %", "range": [0, 103]},
        ),
    )


def _compare(cells: pd.DataFrame) -> Uplift:
    keys = ["store", "weekday"]
    with_promo = cells[cells["promo"] & (cells["n"] >= MIN_DAYS)].set_index(keys)
    without = cells[~cells["promo"] & (cells["n"] >= MIN_DAYS)].set_index(keys)
    both = with_promo.index.intersection(without.index)
    promoted, ordinary = with_promo.loc[both], without.loc[both]
    change = promoted[list(MEASURE_NAMES)] - ordinary[list(MEASURE_NAMES)]
    weight = promoted["n"] * ordinary["n"] / (promoted["n"] + ordinary["n"])
    error = (promoted["variance"] / promoted["n"] + ordinary["variance"] / ordinary["n"]) * weight**2
    extra = (ordinary["mean"] * np.expm1(change["sales"])) * promoted["n"]
    store = both.get_level_values("store")
    total = weight.groupby(store).sum()
    counts = change.notna().mul(weight, axis=0).groupby(store).sum()
    stores = change.mul(weight, axis=0).groupby(store).sum(min_count=1) / counts
    half = Z_95 * np.sqrt(error.groupby(store).sum()) / total
    stores = stores.assign(
        low=stores["sales"] - half,
        high=stores["sales"] + half,
        extra=extra.groupby(store).sum() / promoted["n"].groupby(store).sum(),
    )
    weekdays = change.groupby(both.get_level_values("weekday")).mean()
    return Uplift(stores[list(MEASURE_NAMES)].mean(), weekdays, stores)
