"""Features of visits: one row per visit, with the prices of that day and the person's history before it.

As of
    Nothing from `as_of` on is read. The history of a visit consists of the days before it, so neither its own outcome
    nor that of another visit on the same day is in it, and the row of a past visit is the same whenever it is computed.

Decay
    Sums over the past weight what happened n days ago by exp(-n / tau), so that recent behaviour counts most. tau is
    LONG (180 days), LATELY (60) or SHORT (30), which are half-lives of 125, 42 and 21 days. As a person has at most one
    visit per day, such a sum is a running sum of value x exp(day / tau), divided by exp(day / tau) at the visit.

The columns. docs/features.md has the formulas.

    person, day            the visit
    bought                 0 or 1    the outcome: never a feature of its own row; null for a future visit
    brand, quantity        str, units  the outcome likewise; null and 0 without a purchase
    price                  money     mean price of the brands on the shelf
    promotion              0..1      fraction of these brands that is promoted
    prices, promotions     map       brand -> price; brand -> 0 or 1
    days_since_visit       days      since the last visit, at most 60; 60 for the first visit
    days_since_purchase    days      since the last purchase, at most 365; 365 without one
    never_bought           0 or 1    1 if there is no purchase before
    bought_last_time       0 or 1    1 if the last visit ended in a purchase
    visits_lately          count     visits, decayed with LATELY
    purchase_rate          0..1      (purchases + 1/4) / (visits + 1), both decayed with LONG
    purchase_rate_short    0..1      the same, decayed with SHORT
    purchases, units       count     purchases and units bought, decayed with LONG
    brand_purchases, brand_units     map, the same by brand
    last_brand             str       of the last purchase; null without one
    DEMOGRAPHICS           codes, years, money    from the visits or the people table; null if neither has them
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir

LONG, LATELY, SHORT = 180.0, 60.0, 30.0
MAX_DAYS_AWAY, MAX_DAYS_WITHOUT = 60, 365
WEEK = 7
RECENT_WEEKS = 4

HISTORY: tuple[str, ...] = (
    "days_since_visit",
    "days_since_purchase",
    "never_bought",
    "bought_last_time",
    "visits_lately",
    "purchase_rate",
    "purchase_rate_short",
)
SHELF: tuple[str, ...] = ("price", "promotion")
DEMOGRAPHICS: tuple[str, ...] = (
    "sex",
    "marital_status",
    "age",
    "education",
    "income",
    "occupation",
    "settlement_size",
)
BY_BRAND: tuple[str, ...] = ("prices", "promotions", "brand_purchases", "brand_units")


def brands_of(visits: ir.Table, as_of: dt.date) -> ir.Table:
    """Return the brands that were on the shelf before a day: one column, `brand`, sorted."""
    known = visits.filter(visits.day < ibis.date(as_of))
    return known.select(brand=known.price.keys().unnest()).distinct().order_by("brand")


def visit_features(visits: ir.Table, as_of: dt.date, brands: Sequence[str], people: ir.Table | None = None) -> ir.Table:
    """Compute one row per visit before `as_of`; the module's docstring defines each column.

    Args:
        visits: the clean table.
        as_of: only what happened before this day is used.
        brands: see `brands_of`.
        people: the clean table of people, if there is one.
    """
    return _features(_known(visits, as_of), brands, people)


def shopper_features(
    visits: ir.Table, as_of: dt.date, brands: Sequence[str], people: ir.Table | None = None
) -> ir.Table:
    """Compute one row per person: a future visit on `as_of`, at the prices of the newest visit before it.

    Args:
        visits: the clean table.
        as_of: only what happened before this day is used.
        brands: see `brands_of`.
        people: the clean table of people, if there is one.

    Returns:
        The columns of `visit_features` without the outcome, with `as_of` instead of `day`, and `weekly_visits`: the
        person's visits per week over the last four weeks.
    """
    known = _known(visits, as_of)
    shelf = known.order_by(known.day.desc(), known.person).limit(1).select("prices", "promotions")
    since = as_of - dt.timedelta(days=RECENT_WEEKS * WEEK)
    recent = known.group_by("person").agg(
        weekly_visits=(known.day >= ibis.date(since)).sum().cast("float64") / RECENT_WEEKS,
        **{name: known[name].argmax(known.day) for name in DEMOGRAPHICS},
    )
    future = (
        recent.drop("weekly_visits")
        .cross_join(shelf)
        .mutate(
            day=ibis.date(as_of),
            bought=ibis.null("float64"),
            brand=ibis.null("string"),
            quantity=ibis.literal(0.0),
        )
    )
    rows = _features(ibis.union(known, future.select(known.columns)), brands, people)
    ahead = rows.filter(rows.day == ibis.date(as_of)).rename(as_of="day")
    return ahead.drop("bought", "brand", "quantity").join(recent.select("person", "weekly_visits"), "person")


def _known(visits: ir.Table, as_of: dt.date) -> ir.Table:
    known = visits.filter(visits.day < ibis.date(as_of))
    return known.select(
        "person",
        "day",
        prices=known.price,
        promotions=known.promotion,
        bought=known.bought.cast("float64"),
        brand=known.brand,
        quantity=known.quantity.fill_null(0).cast("float64"),
        **{name: known[name].cast("float64") for name in DEMOGRAPHICS},
    )


def _features(visits: ir.Table, brands: Sequence[str], people: ir.Table | None) -> ir.Table:
    t = _with_demographics(visits, people)
    t = t.mutate(n=t.day.epoch_days() - t.day.epoch_days().min().over(ibis.window(group_by="person")))
    before = ibis.window(group_by="person", order_by="n", preceding=(None, 1))
    bought = t.bought.fill_null(0.0)

    def decayed_sum(value: ir.NumericValue, tau: float) -> ir.NumericValue:
        growth = (t.n / tau).exp()
        return ((value * growth).sum().over(before) / growth).fill_null(0.0)

    def rate(tau: float) -> ir.NumericValue:
        return (decayed_sum(bought, tau) + 0.25) / (decayed_sum(ibis.literal(1.0), tau) + 1)

    def by_brand(value: ir.NumericValue) -> ir.MapValue:
        sums = [decayed_sum(ibis.ifelse(t.brand == brand, value, 0.0).fill_null(0.0), LONG) for brand in brands]
        return _map(brands, sums)

    prices = [t.prices.get(brand) for brand in brands]
    promoted = [ibis.ifelse(t.promotions.get(brand), 1.0, 0.0).fill_null(0.0) for brand in brands]
    on_shelf = [ibis.ifelse(price.notnull(), 1.0, 0.0) for price in prices]
    count = ibis.greatest(_total(on_shelf), 1.0)
    purchase_day = ibis.ifelse(bought > 0, t.n, ibis.null("int64"))
    last_purchase = purchase_day.max().over(before)
    return t.select(
        "person",
        "day",
        "bought",
        "brand",
        "quantity",
        price=_total([price.fill_null(0.0) for price in prices]) / count,
        promotion=_total([p * present for p, present in zip(promoted, on_shelf, strict=True)]) / count,
        prices=_map(brands, prices),
        promotions=_map(brands, promoted),
        days_since_visit=_capped(t.n - t.n.max().over(before), MAX_DAYS_AWAY),
        days_since_purchase=_capped(t.n - last_purchase, MAX_DAYS_WITHOUT),
        never_bought=ibis.ifelse(last_purchase.isnull(), 1.0, 0.0),
        bought_last_time=t.bought.lag().over(ibis.window(group_by="person", order_by="n")).fill_null(0.0),
        visits_lately=decayed_sum(ibis.literal(1.0), LATELY),
        purchase_rate=rate(LONG),
        purchase_rate_short=rate(SHORT),
        purchases=decayed_sum(bought, LONG),
        units=decayed_sum(t.quantity, LONG),
        brand_purchases=by_brand(bought),
        brand_units=by_brand(t.quantity),
        last_brand=t.brand.argmax(purchase_day).over(before),
        **{name: t[name] for name in DEMOGRAPHICS},
    )


def _with_demographics(visits: ir.Table, people: ir.Table | None) -> ir.Table:
    if people is None:
        return visits
    known = people.select("person", **{f"{name}_": people[name].cast("float64") for name in DEMOGRAPHICS})
    joined = visits.left_join(known, "person")
    return joined.select(
        *[name for name in visits.columns if name not in DEMOGRAPHICS],
        **{name: ibis.coalesce(joined[name], joined[f"{name}_"]) for name in DEMOGRAPHICS},
    )


def _capped(days: ir.IntegerValue, maximum: int) -> ir.FloatingValue:
    """Return days that are at most `maximum`, which also replaces null."""
    return ibis.least(days.fill_null(maximum), maximum).cast("float64")


def _map(brands: Sequence[str], values: Sequence[ir.NumericValue]) -> ir.MapValue:
    return ibis.map(ibis.array(list(brands)), ibis.array(list(values)))


def _total(values: Sequence[ir.NumericValue]) -> ir.NumericValue:
    """Add values one by one in a fixed order, so that the result is the same to the last bit each time."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
