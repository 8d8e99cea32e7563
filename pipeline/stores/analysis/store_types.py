"""Kinds of store: assortment and type, and customers against sales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, SYMBOLS, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import above_or_below, counted, listed, more_or_less, percent_change, signed_percent
from pipeline.stores.analysis.base import largest, smallest

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from pipeline.stores.analysis.promotions import Uplift

HEADING_KINDS = "Assortment and store type"
HEADING_CUSTOMERS = "Customers against sales"


def by_store(open_days: ir.Table, stores: ir.Table) -> pd.DataFrame:
    """The table of stores by store, with days (open), sales and customers (means of an open day), and correlation and
    slope (of log sales on log customers, day by day)."""
    counted_too = open_days.customers.notnull()
    logs = open_days.customers.ln()
    found = open_days.group_by("store").agg(
        days=open_days.count(),
        sales=open_days.sales.mean(),
        customers=open_days.customers.mean(),
        sales_counted=open_days.sales.mean(where=counted_too),
        together=ibis.ifelse(counted_too, open_days.log_sales, None).cov(logs, how="pop"),
        spread=logs.var(how="pop"),
        scatter=open_days.log_sales.var(how="pop", where=counted_too),
    )
    joined = stores.left_join(found, "store").drop("store_right").order_by("store").to_pandas().set_index("store")
    numbers = joined[["sales", "customers", "sales_counted", "together", "spread", "scatter"]].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        measures = pd.DataFrame(
            {
                "sales": numbers["sales"],
                "customers": numbers["customers"],
                "a_customer": numbers["sales_counted"] / numbers["customers"],
                "slope": numbers["together"] / numbers["spread"],
                "correlation": numbers["together"] / np.sqrt(numbers["spread"] * numbers["scatter"]),
            }
        )
    table: pd.DataFrame = joined.drop(columns=numbers.columns).join(measures.replace([np.inf, -np.inf], np.nan))
    return table


def kinds_section(stores: pd.DataFrame, uplift: Uplift) -> Section:
    """Types and assortments side by side; a point of the picture is a store."""
    sold = stores[stores["sales"].notna()].join(uplift.stores["sales"].rename("uplift"))
    keys = ["store_type", "assortment"]
    table = sold.groupby(keys).agg(
        stores=("sales", "size"), sales=("sales", "median"), customers=("customers", "median"),
        a_customer=("a_customer", "median"), uplift=("uplift", "mean"),
    )  # fmt: skip
    sentences = [_compared(sold, "store_type", "type"), _compared(sold, "assortment", "assortment")]
    promo2 = sold["promo2"].astype(bool)
    if promo2.any() and not promo2.all():
        ratio = sold["sales"][promo2].median() / sold["sales"][~promo2].median()
        sentences.append(
            f"{counted(promo2.sum(), 'store takes', 'stores take')} part in the continuing promotion (Promo2); the "
            "middle one "
            f"sells {above_or_below(100 * (ratio - 1))} the middle one of those that do not. Which stores were "
            "chosen for it "
            "may be "
            "the reason."
        )
    figure = go.Figure()
    for k, (assortment, part) in enumerate(sold.groupby("assortment")):
        figure.add_box(
            name=f"assortment {assortment}",
            x=[f"type {word}" for word in part["store_type"]],
            y=part["sales"].round(1),
            text=[f"store {store}" for store in part.index],
            marker={"color": COLOURS[k % len(COLOURS)], "size": 4, "symbol": SYMBOLS[k % len(SYMBOLS)]},
            boxpoints="outliers",
        )
    return Section(
        HEADING_KINDS,
        sentences,
        Table(
            (
                "type",
                "assortment",
                "stores",
                "sales a day",
                "customers a day",
                "sales a customer",
                "rise with promotion",
            ),
            [
                (
                    str(row["store_type"]),
                    str(row["assortment"]),
                    f"{row['stores']:,.0f}",
                    f"{row['sales']:,.0f}",
                    _number(row["customers"], 0),
                    _number(row["a_customer"], 2),
                    signed_percent(percent_change(row["uplift"])),
                )
                for row in table.reset_index().to_dict("records")
            ],
            frozenset(range(2, 7)),
        ),
        figure_json(
            figure,
            boxmode="group",
            xaxis={"categoryorder": "category ascending"},
            yaxis={"title": "mean sales of an open day"},
        ),
    )


def customers_section(stores: pd.DataFrame) -> Section:
    """A point a store: mean customers and mean sales of an open day."""
    known = stores[stores["customers"].notna() & stores["sales"].notna()]
    if known.empty:
        return Section(HEADING_CUSTOMERS, ["Customers were not counted."])
    between = known["customers"].corr(known["sales"]) if len(known) > 1 else np.nan
    sentences = []
    within = known["correlation"].dropna()
    if len(within):
        sentences.append(
            f"Within the middle store customers and sales of a day go together with a correlation of "
            f"{within.median():.2f} "
            f"(logs); one per cent more customers go with {known['slope'].median():.2f} % more sales."
        )
    if np.isfinite(between):
        sentences.append(f"Between stores, means of their open days, the correlation is {between:.2f}.")
    types = known.groupby("store_type")["a_customer"].median().sort_values()
    low, high = smallest(known["a_customer"]), largest(known["a_customer"])
    sentences.append(
        f"A customer spends {known['a_customer'].median():,.2f} in the middle store, from "
        f"{known['a_customer'][low]:,.2f} in store {low} to {known['a_customer'][high]:,.2f} in store {high}"
        + (
            f"; most in stores of type {types.index[-1]} ({types.iloc[-1]:,.2f}), least in type {types.index[0]} "
            f"({types.iloc[0]:,.2f})."
            if len(types) > 1
            else "."
        )
    )
    figure = go.Figure()
    for k, (kind, part) in enumerate(known.groupby("store_type")):
        figure.add_scatter(
            name=f"type {kind}",
            x=part["customers"].round(1),
            y=part["sales"].round(1),
            text=[f"store {store}" for store in part.index],
            mode="markers",
            marker={"color": COLOURS[k % len(COLOURS)], "symbol": SYMBOLS[k % len(SYMBOLS)], "size": 6, "opacity": 0.7},
        )
    return Section(
        HEADING_CUSTOMERS,
        sentences,
        figure=figure_json(
            figure,
            heights=1,
            xaxis={"title": "mean customers of an open day"},
            yaxis={"title": "mean sales of an open day"},
        ),
    )


def _compared(sold: pd.DataFrame, column: str, word: str) -> str:
    medians = sold.groupby(column)["sales"].agg(["median", "size"]).sort_values("median", ascending=False)
    if len(medians) < 2:
        return f"All stores are of {word} {medians.index[0]}." if len(medians) else f"No store of any {word} sold."
    first, last = medians.index[0], medians.index[-1]
    ratio = medians["median"][first] / medians["median"][last]
    counts = listed(f"{n:,} of {word} {name}" for name, n in medians["size"].sort_index().items())
    return (
        f"There are {counts}. The middle store of {word} {first} sells {medians['median'][first]:,.0f} a day, "
        f"{more_or_less(100 * (ratio - 1))} than that of {word} {last} ({medians['median'][last]:,.0f})."
    )


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}" if np.isfinite(value) else "–"
