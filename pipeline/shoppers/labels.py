"""What the columns of shoppers are called on pages."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.reports.labels import Label

PREDICTIONS: Mapping[str, Label] = {
    "purchase_probability": Label("probability that a visit ends in a purchase", kind="share"),
    "brand_choice": Label("most likely brand"),
    "purchase_quantity": Label("units of the next purchase", "units"),
    "people_segments": Label("segment given by the model"),
}
"""Model -> what it predicts."""

LABELS: Mapping[str, Label] = {
    "price": Label("mean price on the shelf", kind="amount", table="visits"),
    "promotion": Label("share of the brands that are promoted", kind="share"),
    "days_since_visit": Label("time since the last visit", "days"),
    "days_since_purchase": Label("time since the last purchase", "days"),
    "never_bought": Label("first purchase still to come", codes={"0": "bought before", "1": "never bought"}),
    "bought_last_time": Label("last visit", codes={"0": "without a purchase", "1": "with a purchase"}),
    "visits_lately": Label("recent visits, weighted", "visits"),
    "purchase_rate": Label("share of visits with a purchase", kind="share"),
    "purchase_rate_short": Label("share of the latest visits with a purchase", kind="share"),
    "purchases": Label("purchases so far, weighted", "purchases"),
    "units": Label("units so far, weighted", "units"),
    "last_brand": Label("brand bought last"),
    "weekly_visits": Label("visits a week", "visits"),
    "sex": Label("sex", codes={"0": "men", "1": "women"}),
    "marital_status": Label("marital status", codes={"0": "single", "1": "not single"}),
    "age": Label("age", "years"),
    "education": Label(
        "education", codes={"0": "other", "1": "high school", "2": "university", "3": "graduate school"}
    ),
    "income": Label("income a year", kind="amount", table="people"),
    "occupation": Label(
        "occupation", codes={"0": "none or unskilled", "1": "skilled", "2": "management or self-employed"}
    ),
    "settlement_size": Label("size of the town", codes={"0": "small", "1": "mid-sized", "2": "big"}),
}
