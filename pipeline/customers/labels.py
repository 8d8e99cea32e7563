"""What the columns of customers are called on pages."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.reports.labels import Label
from pipeline.reports.phrasing import WEEKDAYS

PREDICTIONS: Mapping[str, Label] = {
    "customer_segments": Label("segment given by the model"),
    "recommendations": Label("chance to buy something of the list", kind="share"),
    "customer_value": Label("expected revenue of the next quarter", kind="amount", table="transactions"),
}
"""Model -> what it predicts."""

LABELS: Mapping[str, Label] = {
    "recency_days": Label("time since the last purchase", "days"),
    "invoices": Label("purchases in the window", "invoices"),
    "units": Label("units bought", "units"),
    "revenue": Label("revenue net of returns", kind="amount", table="transactions"),
    "average_ticket": Label("average ticket", kind="amount", table="transactions"),
    "distinct_products": Label("different products bought", "products"),
    "days_between_invoices": Label("time between purchases", "days"),
    "favourite_weekday": Label("favourite weekday", codes={str(day): name for day, name in enumerate(WEEKDAYS)}),
    "favourite_hour": Label("favourite hour", codes={str(hour): f"{hour}:00" for hour in range(24)}),
    "is_home_country": Label("home or abroad", codes={"0": "abroad", "1": "in the home country"}),
    "cancellations": Label("cancelled invoices", "invoices"),
    "cancellation_rate": Label("share of invoices that are cancellations", kind="share"),
    "monthly_spend_mean": Label("spending a month", kind="amount", table="transactions"),
    "monthly_spend_std": Label("ups and downs of spending a month", kind="amount", table="transactions"),
    "monthly_spend_trend": Label("growth of spending from month to month", kind="amount", table="transactions"),
    "return_units": Label("units returned", "units"),
    "purchase_frequency": Label("purchases in 30 days", "invoices"),
    "median_basket_units": Label("units in a usual basket", "units"),
}
