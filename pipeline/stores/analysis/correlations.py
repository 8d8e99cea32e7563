"""The correlation matrix of sales, customers and what is known of an open day in advance."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import figure_json
from pipeline.reports.page import Section
from pipeline.reports.phrasing import signed

if TYPE_CHECKING:
    import ibis.expr.types as ir

HEADING = "Correlation matrix"
SHOWN_IN_TEXT = 3
MIN_WIDTH = 640
"""Pixels that the numbers in the cells need; on a narrow screen the chart scrolls."""


def correlations(open_days: ir.Table, stores: ir.Table) -> pd.DataFrame:
    """Compute Pearson correlations over all open days with sales; NaN where a column never varies."""
    d = open_days.join(stores.select("store", "competition_distance", "promo2"), "store")
    columns = {
        "sales": d.sales,
        "customers": d.customers,
        "sales per customer": d.sales / d.customers,
        "promotion": d.promo.cast("float64"),
        "continuing promotion": d.promo2.cast("float64"),
        "weekday (Monday 0)": d.weekday.cast("float64"),
        "day of month": d.day.day().cast("float64"),
        "month": d.day.month().cast("float64"),
        "state holiday": (d.holiday != "none").cast("float64"),
        "school holiday": d.school.cast("float64"),
        "competitor's distance": d.competition_distance.cast("float64"),
    }
    names = list(columns)
    flat = d.select(**{f"x{k}": column for k, column in enumerate(columns.values())})
    pairs = list(combinations(range(len(names)), 2))
    row = flat.agg(**{f"r{i}_{j}": flat[f"x{i}"].corr(flat[f"x{j}"], how="pop") for i, j in pairs}).to_pandas().iloc[0]
    varies = flat.agg(**{f"v{k}": flat[f"x{k}"].var(how="pop") for k in range(len(names))}).to_pandas().iloc[0]
    values = np.diag([1.0 if varies[f"v{k}"] > 0 else np.nan for k in range(len(names))])
    for i, j in pairs:
        values[i, j] = values[j, i] = row[f"r{i}_{j}"] if varies[f"v{i}"] > 0 and varies[f"v{j}"] > 0 else np.nan
    return pd.DataFrame(values, names, names)


def correlations_section(found: pd.DataFrame) -> Section:
    """Show the matrix; the cells of a column that never varies are blank."""
    with_sales = found["sales"].drop(["sales", "customers", "sales per customer"]).dropna()
    order = with_sales.abs().sort_values(ascending=False).index
    sentences = []
    if len(order):
        strongest = "; ".join(f"{name} ({_signed(with_sales[name])})" for name in order[:SHOWN_IN_TEXT])
        sentences.append(
            "Of what is known of a day in advance, these correlate most with sales, over all open days of all stores: "
            f"{strongest}."
        )
    customers = found["sales"]["customers"]
    if np.isfinite(customers):
        sentences.append(f"The correlation of sales and customers is {_signed(customers)}.")
    constant = [str(name) for name in found.columns if not np.isfinite(found[name][name])]
    if constant:
        sentences.append(f"These never vary, so they have no correlation: {', '.join(constant)}.")
    values = [[None if not np.isfinite(cell) else round(float(cell), 3) for cell in row] for row in found.to_numpy()]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(found),
            y=list(found),
            text=[[_signed(cell) if np.isfinite(cell) else "" for cell in row] for row in found.to_numpy()],
            texttemplate="%{text}",
            textfont={"size": 10},
            colorscale="RdBu",
            reversescale=True,
            zmin=-1,
            zmax=1,
            showscale=False,
        )
    )
    return Section(
        HEADING,
        sentences,
        figure=figure_json(
            figure,
            heights=2,
            yaxis={"autorange": "reversed"},
            xaxis={"tickangle": -60},
            meta={"min_width": MIN_WIDTH},
        ),
    )


def _signed(value: float) -> str:
    return signed(value)
