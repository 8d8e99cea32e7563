"""The baseline: the same work in plain pandas, one groupby for each feature, as public projects on this data do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import linregress

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

KEY = "customer_id"


def clean(csv: Path) -> pd.DataFrame:
    """Make the clean table from raw rows: read, convert types, drop repeats, filter, classify the rows."""
    df = pd.read_csv(csv, dtype={"InvoiceNo": str, "StockCode": str, "CustomerID": str})
    df = df.drop_duplicates()
    df["InvoiceDate"] = pd.to_datetime(df["InvoiceDate"])
    df["Quantity"] = df["Quantity"].astype("int64")
    df["UnitPrice"] = df["UnitPrice"].astype("float64")
    df = df[(df["UnitPrice"] >= 0) & (df["Quantity"] != 0)]
    df.columns = ["invoice", "stock_code", "description", "quantity", "invoiced_at", "unit_price", KEY, "country"]
    df[KEY] = df[KEY].str.replace(r"\.0$", "", regex=True)
    df["kind"] = np.where(df["quantity"] < 0, "return", "sale")
    df.loc[(df["unit_price"] == 0) | df["invoice"].str.startswith("A"), "kind"] = "adjustment"
    df["is_product"] = df["stock_code"].str.match(r"^(?:\d{5}[A-Za-z]*|DCGS\w+|gift_\w+)$")
    return df


def features(df: pd.DataFrame, as_of: dt.date, window_days: int, home_country: str) -> pd.DataFrame:
    """Compute the features of `pipeline.customers.features`, one row for each customer, indexed by customer."""
    until = pd.Timestamp(as_of)
    df = df[(df["invoiced_at"] >= until - pd.Timedelta(days=window_days)) & (df["invoiced_at"] < until)]
    df = df[df["is_product"] & df["kind"].isin(["sale", "return"]) & df[KEY].notna()].copy()
    df["amount"] = df["quantity"] * df["unit_price"]
    df["at"] = df.groupby([KEY, "invoice"])["invoiced_at"].transform("min")
    df["days"] = (until - df["at"].dt.normalize()).dt.days
    sales = df[df["kind"] == "sale"]
    returns = df[df["kind"] == "return"]
    bought = sales.drop_duplicates([KEY, "invoice"])

    out = pd.DataFrame(index=pd.Index(sorted(sales[KEY].unique()), name=KEY))
    out["recency_days"] = bought.groupby(KEY)["days"].min()
    out["invoices"] = sales.groupby(KEY)["invoice"].nunique()
    out["units"] = sales.groupby(KEY)["quantity"].sum()
    out["revenue"] = df.groupby(KEY)["amount"].sum()
    out["average_ticket"] = sales.groupby(KEY)["amount"].sum() / out["invoices"]
    out["distinct_products"] = sales.groupby(KEY)["stock_code"].nunique()

    gaps = (
        bought.sort_values("at")
        .groupby(KEY)["at"]
        .apply(lambda at: pd.Timedelta(at.diff().mean()) / pd.Timedelta(days=1))
    )
    out["days_between_invoices"] = gaps.fillna(window_days)

    for name, values in {
        "favourite_weekday": bought["at"].dt.dayofweek,
        "favourite_hour": bought["at"].dt.hour,
    }.items():
        counts = bought.assign(value=values).groupby([KEY, "value"]).size().reset_index(name="count")
        out[name] = counts.loc[counts.groupby(KEY)["count"].idxmax()].set_index(KEY)["value"]

    located = df[df["country"].notna()]
    home = (located["country"] == home_country).groupby([located[KEY], located["invoice"]]).any()
    bought_home = home[home.index.isin(pd.MultiIndex.from_frame(bought[[KEY, "invoice"]]))]
    # A customer without any country is not in the right-hand side.
    out["is_home_country"] = (bought_home.groupby(level=KEY).mean() >= 0.5).reindex(out.index, fill_value=True)

    both = pd.MultiIndex.from_frame(returns[[KEY, "invoice"]]).isin(pd.MultiIndex.from_frame(bought[[KEY, "invoice"]]))
    out["cancellations"] = returns[~both].groupby(KEY)["invoice"].nunique()
    out["cancellations"] = out["cancellations"].fillna(0)
    out["cancellation_rate"] = out["cancellations"] / (out["cancellations"] + out["invoices"])

    months = max(1, round(window_days / 30))
    month = (df["days"] - 1) * months // window_days
    spend = df.groupby([KEY, month.rename("month")])["amount"].sum().unstack(fill_value=0)
    spend = spend.reindex(index=out.index, columns=range(months), fill_value=0.0)
    oldest = (bought["days"] - 1).mul(months).floordiv(window_days).groupby(bought[KEY]).max()
    count = oldest.loc[out.index].to_numpy() + 1
    own = pd.Series([row[:n][::-1] for row, n in zip(spend.to_numpy(), count, strict=True)], index=out.index)
    out["monthly_spend_mean"] = own.apply(np.mean)
    out["monthly_spend_std"] = own.apply(np.std)
    out["monthly_spend_trend"] = own.apply(lambda y: linregress(np.arange(len(y)), y).slope if len(y) > 1 else 0.0)

    out["return_units"] = -returns.groupby(KEY)["quantity"].sum()
    out["return_units"] = out["return_units"].fillna(0)
    out["purchase_frequency"] = out["invoices"] * 30 / bought.groupby(KEY)["days"].max().clip(lower=30)
    out["median_basket_units"] = sales.groupby([KEY, "invoice"])["quantity"].sum().groupby(level=KEY).median()
    return out.astype("float64")
