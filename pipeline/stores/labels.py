"""What the features of store days are called on pages. Logarithms of sales are written as changes in per cent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.reports.labels import Label
from pipeline.reports.phrasing import WEEKDAYS
from pipeline.stores.chain import relative_name
from pipeline.stores.features import CHAIN_COLUMNS

PREDICTIONS: Mapping[str, Label] = {
    "store_sales": Label("what the model adds to the linear forecast of a store", kind="change")
}
"""Model -> what is watched of its predictions."""

_ABSOLUTE: Mapping[str, Label] = {
    "weekday": Label("weekday", codes={str(day): name for day, name in enumerate(WEEKDAYS)}),
    "day_of_month": Label("day of the month"),
    "days_to_month_end": Label("days to the end of the month", "days"),
    "week": Label("week of the year"),
    "day_of_year": Label("day of the year"),
    "easter_days": Label("days from Easter", "days"),
    "christmas_days": Label("days from Christmas", "days"),
    "promo": Label("promotion", codes={"0": "no promotion", "1": "promotion"}),
    "promo_day": Label("how long the promotion has run", "days"),
    "promo_since": Label("days since the last promotion", "days"),
    "promo_until": Label("days to the next promotion", "days"),
    "promo_ends": Label("days to the end of the promotion", "days"),
    "holiday": Label("state holiday", codes={"0": "none", "1": "public", "2": "Easter", "3": "Christmas"}),
    "holiday_since": Label("days since the last holiday", "days"),
    "holiday_until": Label("days to the next holiday", "days"),
    "school": Label("school holiday", codes={"0": "school", "1": "school holiday"}),
    "school_day": Label("how long the school holidays have run", "days"),
    "school_since": Label("days since the last school holiday", "days"),
    "school_until": Label("days to the next school holiday", "days"),
    "school_ends": Label("days to the end of the school holidays", "days"),
    "open_days": Label("days since the store was last closed", "days"),
    "closed_since": Label("days since the store was last closed, Sundays aside", "days"),
    "closed_until": Label("days to the next closed day, Sundays aside", "days"),
    "open_week": Label("open days of the last week", "days"),
    "reopened": Label("open days since a long closure", "days"),
    "reopened_length": Label("length of the long closure before", "days"),
    "closing": Label("open days to the next long closure", "days"),
    "closing_length": Label("length of the long closure ahead", "days"),
    "promo2_weeks": Label("weeks since the continuing promotion began", "weeks"),
    "promo2_month": Label("month in which the continuing promotion starts anew", codes={"0": "no", "1": "yes"}),
    "competition_months": Label("months since the nearest competitor opened", "months"),
    "competition_distance": Label("distance to the nearest competitor, logarithm of metres"),
    "store_type": Label("type of store"),
    "assortment": Label("assortment"),
    "state": Label("state"),
    "linear": Label("the linear forecast", kind="log amount", table="store_days"),
    "linear_120": Label("what a linear forecast of the recent past adds", kind="change"),
    "linear_800": Label("what a linear forecast of a long past adds", kind="change"),
    **{
        f"level_{days}": Label(
            f"the store's level over the last {days} days, against its linear forecast", kind="change"
        )
        for days in (14, 28, 56, 112, 182, 364)
    },
    "effect_promo": Label("effect of a promotion in this store", kind="change"),
    "effect_school": Label("effect of school holidays in this store", kind="change"),
    "effect_month_start": Label("effect of the start of a month in this store", kind="change"),
    "effect_month_end": Label("effect of the end of a month in this store", kind="change"),
    "effect_next_closed": Label("effect of a closed day ahead in this store", kind="change"),
    "effect_saturday": Label("effect of a Saturday in this store", kind="change"),
    "effect_sunday": Label("effect of a Sunday in this store", kind="change"),
    "effect_trend": Label("trend of this store in a year", kind="change"),
    "store_level": Label("usual sales of the store's day", kind="log amount", table="store_days"),
    "scale": Label("how much the store's days scatter", kind="share"),
    "sales_a_customer": Label("sales for each customer", kind="log amount", table="store_days"),
    **{
        f"last_{years}_{whose}_{days}": Label(f"{name} {when}, within {days} days", kind="change")
        for years, when in ((1, "a year earlier"), (2, "two years earlier"))
        for whose, name in (
            ("store", "the store's sales"),
            ("state", "its state's sales"),
            ("kind", "its type's sales"),
        )
        for days in (3, 10, 21)
        if (years, whose) != (2, "kind")
    },
    **{
        f"recent_{whose}_{days}": Label(f"{name} over the last {days} days", kind="change")
        for whose, name in (("state", "its state's sales"), ("kind", "its type's sales"))
        for days in (14, 56)
    },
    "season": Label("the same season a year earlier", kind="change"),
    "season_weight": Label("weight of the same season a year earlier", kind="share"),
    "season_scale": Label("strength of the season ahead", kind="change"),
    "last_season": Label("the forecast from last year's weekday", kind="log amount", table="store_days"),
    "season_forecast": Label("the forecast from last year's season", kind="log amount", table="store_days"),
    "ahead": Label("days ahead of the forecast's day", "days"),
}
LABELS: Mapping[str, Label] = {
    **_ABSOLUTE,
    **{
        relative_name(name): replace(_ABSOLUTE[name], text=f"{_ABSOLUTE[name].text}, beyond the chain")
        for name in CHAIN_COLUMNS
    },
}
