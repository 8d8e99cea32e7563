"""Visits in, one row of features a visit out: the shelf of that day, and what the person had done before.

As of
    Nothing of `as_of` or later is read, and the history of a visit is that of the days before it: neither its own
    outcome nor another's of that day. So the rows of a past visit are the same whenever they are made.

Forgetting
    Sums over the past weigh what happened n days ago by exp(-n / tau): what counts is what a person does, not what they
    once did. tau is LONG (180 days), LATELY (60) or SHORT (30). With days unique for a person, such a sum is a plain
    running sum of values that grow by exp(day / tau), divided by the same at the visit.

The columns
    person, day            whose visit, and when
    bought                 0 or 1    what came of it: never a feature of this row; null for a visit that is to come
    brand, quantity                  likewise; null and 0 where nothing was bought
    price                  money     mean price of the brands on the shelf
    promotion              0..1      share of them that is promoted
    prices, promotions     map       the same by brand; promotions are 0 or 1
    days_since_visit       days      since the last visit, at most 60; 60 for the first
    days_since_purchase    days      since the last purchase, at most 365; 365 where there is none
    never_bought           0 or 1    no purchase before
    bought_last_time       0 or 1    the last visit was a purchase
    visits_lately          count     visits, forgotten by LATELY
    purchase_rate          0..1      (purchases + 1/4) / (visits + 1), both forgotten by LONG
    purchase_rate_short    0..1      the same, by SHORT
    purchases, units       count     purchases and units bought, by LONG
    brand_purchases, brand_units     map, the same by brand
    last_brand             str       of the last purchase; null where there is none
    DEMOGRAPHICS                     as the visits or the people say; null where nobody does
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
    """The brands that were on the shelf before a day: one column, `brand`, sorted."""
    known = visits.filter(visits.day < ibis.date(as_of))
    return known.select(brand=known.price.keys().unnest()).distinct().order_by("brand")


def visit_features(visits: ir.Table, as_of: dt.date, brands: Sequence[str], people: ir.Table | None = None) -> ir.Table:
    """A row a visit before `as_of`; the module's text defines each column.

    Args:
        visits: the clean table.
        as_of: only what happened before this day is known.
        brands: see `brands_of`.
        people: the clean table of people, where there is one.
    """
    return _features(_known(visits, as_of), brands, people)


def shopper_features(
    visits: ir.Table, as_of: dt.date, brands: Sequence[str], people: ir.Table | None = None
) -> ir.Table:
    """A row a person: the visit that they might make on `as_of`, with the newest shelf that anybody saw before it.

    Returns:
        The columns of `visit_features`, `as_of` in the place of `day`, and `weekly_visits`: the person's visits a week,
        over the last four.
    """
    known = _known(visits, as_of)
    shelf = known.order_by(known.day.desc(), known.person).limit(1).select("prices", "promotions")
    since = as_of - dt.timedelta(days=RECENT_WEEKS * WEEK)
    recent = known.group_by("person").agg(
        weekly_visits=(known.day >= ibis.date(since)).sum().cast("float64") / RECENT_WEEKS,
        **{name: known[name].argmax(known.day) for name in DEMOGRAPHICS},
    )
    to_come = (
        recent.drop("weekly_visits")
        .cross_join(shelf)
        .mutate(
            day=ibis.date(as_of),
            bought=ibis.null("float64"),
            brand=ibis.null("string"),
            quantity=ibis.literal(0.0),
        )
    )
    rows = _features(ibis.union(known, to_come.select(known.columns)), brands, people)
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

    def remembered(value: ir.NumericValue, tau: float) -> ir.NumericValue:
        grown = (t.n / tau).exp()
        return ((value * grown).sum().over(before) / grown).fill_null(0.0)

    def rate(tau: float) -> ir.NumericValue:
        return (remembered(bought, tau) + 0.25) / (remembered(ibis.literal(1.0), tau) + 1)

    def by_brand(value: ir.NumericValue) -> ir.MapValue:
        sums = [remembered(ibis.ifelse(t.brand == brand, value, 0.0).fill_null(0.0), LONG) for brand in brands]
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
        promotion=_total([p * there for p, there in zip(promoted, on_shelf, strict=True)]) / count,
        prices=_map(brands, prices),
        promotions=_map(brands, promoted),
        days_since_visit=_days(t.n - t.n.max().over(before), MAX_DAYS_AWAY),
        days_since_purchase=_days(t.n - last_purchase, MAX_DAYS_WITHOUT),
        never_bought=ibis.ifelse(last_purchase.isnull(), 1.0, 0.0),
        bought_last_time=t.bought.lag().over(ibis.window(group_by="person", order_by="n")).fill_null(0.0),
        visits_lately=remembered(ibis.literal(1.0), LATELY),
        purchase_rate=rate(LONG),
        purchase_rate_short=rate(SHORT),
        purchases=remembered(bought, LONG),
        units=remembered(t.quantity, LONG),
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


def _days(days: ir.IntegerValue, most: int) -> ir.FloatingValue:
    return ibis.least(days.fill_null(most), most).cast("float64")


def _map(brands: Sequence[str], values: Sequence[ir.NumericValue]) -> ir.MapValue:
    return ibis.map(ibis.array(list(brands)), ibis.array(list(values)))


def _total(values: Sequence[ir.NumericValue]) -> ir.NumericValue:
    """Added one by one in a fixed order, so that the last bits are the same each time."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
