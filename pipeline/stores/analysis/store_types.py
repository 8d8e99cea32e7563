"""Store types and assortments, and the relation of customers and sales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, SYMBOLS, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    above_or_below,
    amount,
    count,
    counted,
    decimal,
    listed,
    more_or_less,
    percent_change,
    price,
    signed_percent,
    with_unit,
)
from pipeline.stores.analysis.base import largest, smallest

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from pipeline.stores.analysis.promotions import Uplift

HEADING_TYPES = "Assortment and store type"
HEADING_CUSTOMERS = "Customers and sales"


def store_means(open_days: ir.Table, stores: ir.Table) -> pd.DataFrame:
    """Return the attributes of the stores with means over their open days, by store.

    Returns:
        The columns of the table of stores; days (open), sales and customers (means of an open day), a_customer (sales
        per customer); correlation and slope of log sales on log customers over days.
    """
    has_customers = open_days.customers.notnull()
    logs = open_days.customers.ln()
    found = open_days.group_by("store").agg(
        days=open_days.count(),
        sales=open_days.sales.mean(),
        customers=open_days.customers.mean(),
        sales_with_customers=open_days.sales.mean(where=has_customers),
        covariance=ibis.ifelse(has_customers, open_days.log_sales, None).cov(logs, how="pop"),
        var_customers=logs.var(how="pop"),
        var_sales=open_days.log_sales.var(how="pop", where=has_customers),
    )
    joined = stores.left_join(found, "store").drop("store_right").order_by("store").to_pandas().set_index("store")
    numbers = joined[["sales", "customers", "sales_with_customers", "covariance", "var_customers", "var_sales"]].astype(
        float
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        measures = pd.DataFrame(
            {
                "sales": numbers["sales"],
                "customers": numbers["customers"],
                "a_customer": numbers["sales_with_customers"] / numbers["customers"],
                "slope": numbers["covariance"] / numbers["var_customers"],
                "correlation": numbers["covariance"] / np.sqrt(numbers["var_customers"] * numbers["var_sales"]),
            }
        )
    table: pd.DataFrame = joined.drop(columns=numbers.columns).join(measures.replace([np.inf, -np.inf], np.nan))
    return table


def store_types_section(stores: pd.DataFrame, uplift: Uplift) -> Section:
    """Show sales by store type and assortment; a point of the chart is a store."""
    sold = stores[stores["sales"].notna()].join(uplift.stores["sales"].rename("uplift"))
    keys = ["store_type", "assortment"]
    table = sold.groupby(keys).agg(
        stores=("sales", "size"), sales=("sales", "median"), customers=("customers", "median"),
        a_customer=("a_customer", "median"), uplift=("uplift", "mean"),
    )  # fmt: skip
    sentences = [_compare_medians(sold, "store_type", "type"), _compare_medians(sold, "assortment", "assortment")]
    promo2 = sold["promo2"].astype(bool)
    if promo2.any() and not promo2.all():
        ratio = sold["sales"][promo2].median() / sold["sales"][~promo2].median()
        sentences.append(
            f"{counted(promo2.sum(), 'store takes', 'stores take')} part in the continuing promotion (Promo2). Their "
            f"median sales are {above_or_below(100 * (ratio - 1))} those of the others. The selection of stores may be "
            "the reason; this is not necessarily an effect of the promotion."
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
        HEADING_TYPES,
        sentences,
        Table(
            (
                "type",
                "assortment",
                "stores",
                with_unit("sales per day"),
                "customers per day",
                with_unit("sales per customer"),
                "effect of promotions",
            ),
            [
                (
                    str(row["store_type"]),
                    str(row["assortment"]),
                    count(row["stores"]),
                    amount(row["sales"]),
                    decimal(row["customers"], 0),
                    price(row["a_customer"]),
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
            yaxis={"title": with_unit("mean sales of an open day")},
        ),
    )


def customers_section(stores: pd.DataFrame) -> Section:
    """Show mean customers and mean sales of an open day; a point of the chart is a store."""
    known = stores[stores["customers"].notna() & stores["sales"].notna()]
    if known.empty:
        return Section(HEADING_CUSTOMERS, ["Customers were not counted."])
    between = known["customers"].corr(known["sales"]) if len(known) > 1 else np.nan
    sentences = []
    within = known["correlation"].dropna()
    if len(within):
        sentences.append(
            "Within a store, the correlation of log customers and log sales over days is "
            f"{decimal(within.median(), 2)} (median over stores); one per cent more customers go with "
            f"{decimal(known['slope'].median(), 2)} % more sales."
        )
    if np.isfinite(between):
        sentences.append(f"Between stores, the correlation of mean customers and mean sales is {decimal(between, 2)}.")
    types = known.groupby("store_type")["a_customer"].median().sort_values()
    low, high = smallest(known["a_customer"]), largest(known["a_customer"])
    sentences.append(
        f"A customer spends {price(known['a_customer'].median())} per visit (median over stores), from "
        f"{price(known['a_customer'][low])} in store {low} to {price(known['a_customer'][high])} in store {high}"
        + (
            f". The median is highest for stores of type {types.index[-1]} ({price(types.iloc[-1])}) and lowest for "
            f"type {types.index[0]} ({price(types.iloc[0])})."
            if len(types) > 1
            else "."
        )
    )
    figure = go.Figure()
    for k, (store_type, part) in enumerate(known.groupby("store_type")):
        figure.add_scatter(
            name=f"type {store_type}",
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
            yaxis={"title": with_unit("mean sales of an open day")},
        ),
    )


def _compare_medians(sold: pd.DataFrame, column: str, word: str) -> str:
    medians = sold.groupby(column)["sales"].agg(["median", "size"]).sort_values("median", ascending=False)
    if len(medians) < 2:
        return f"All stores are of {word} {medians.index[0]}." if len(medians) else "No store sold anything."
    first, last = medians.index[0], medians.index[-1]
    ratio = medians["median"][first] / medians["median"][last]
    counts = listed(f"{count(n)} of {word} {name}" for name, n in medians["size"].sort_index().items())
    return (
        f"There are {counts}. The median store of {word} {first} sells {amount(medians['median'][first])} per open "
        f"day, {more_or_less(100 * (ratio - 1))} than the median store of {word} {last} "
        f"({amount(medians['median'][last])})."
    )


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}" if np.isfinite(value) else "–"
