"""What is known of a store's day before it comes: calendar, promotions, holidays and planned closures.

Nothing here reads sales or customers, so history and the days to forecast are described alike. Distances are in days
and end at `FAR`; those that look ahead (`AHEAD`) know the whole table they are given, and `seen_from` cuts them to what
a forecast made on an earlier day could have known.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
from dateutil.easter import easter  # type: ignore[import-untyped]

if TYPE_CHECKING:
    import ibis.expr.types as ir

FAR = 60  # days; further away is as good as never
LONG = 4  # closed days in a row that no holiday explains: longer is a closure with effects of its own
LONGEST = 14  # what is told apart of a closure's length ahead
AHEAD = ("promo_until", "promo_ends", "holiday_until", "school_until", "school_ends", "closed_until")
UNKNOWN = "unknown"
UNSEEN = 1_000_000  # a day that never comes
SUNDAY = 6
YEARS_BACK = 30
HOLIDAYS = {"none": 0, "public": 1, "easter": 2, "christmas": 3}
WORDS = ("store_type", "assortment", "state")  # the columns that are str; the others are numbers
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

KNOWN: tuple[str, ...] = (
    "weekday",
    "day_of_month",
    "days_to_month_end",
    "week",
    "day_of_year",
    "easter_days",
    "christmas_days",
    "promo",
    "promo_day",
    "promo_since",
    "promo_until",
    "promo_ends",
    "holiday",
    "holiday_since",
    "holiday_until",
    "school",
    "school_day",
    "school_since",
    "school_until",
    "school_ends",
    "open_days",
    "closed_since",
    "closed_until",
    "open_week",
    "reopened",
    "reopened_length",
    "closing",
    "closing_length",
    "promo2_weeks",
    "promo2_month",
    "competition_months",
    "competition_distance",
    "store_type",
    "assortment",
    "state",
)


def known_days(store_days: ir.Table, stores: ir.Table, as_of: dt.date, horizon: int) -> ir.Table:
    """One row an open (store, day) before the end of the horizon, with `KNOWN`.

    Args:
        store_days: the clean table; of days from `as_of` on only store, day, open, promo and the holidays are read.
        stores: the clean table of stores.
        as_of: the first day to forecast; `t` counts days from it, so history is negative.
        horizon: days to forecast.

    Returns:
        store, day, t (int64), closing_start (a `t`) and `KNOWN`: float64 but for `WORDS`; a missing competition
        distance or Promo2 is null.
        A day without a row stays without one: it is unknown, which is not closed.
    """
    end = as_of + dt.timedelta(days=horizon)
    days = store_days.filter(store_days.day < ibis.date(end))
    days = days.select(
        "store",
        "day",
        "open",
        t=days.day.delta(ibis.date(as_of), unit="day").cast("int64"),
        promo=days.promo,
        holiday=days.state_holiday.cases(*HOLIDAYS.items(), else_=0),
        school=days.school_holiday,
    )
    return _with_stores(_closures(_distances(_dates(days, as_of))), stores)


def seen_from(days: ir.Table, horizon: int) -> ir.Table:
    """Rows with an `origin` (days from as_of, like `t`), their look ahead cut at the last day that origin knows of."""
    last = days.origin + horizon  # exclusive
    length = ibis.least(days.closing_length, last - days.closing_start)
    visible = (days.closing < FAR) & (length >= LONG)
    return days.mutate(
        **{name: ibis.ifelse(days.t + days[name] >= last, FAR, days[name]) for name in AHEAD},
        closing=ibis.ifelse(visible, days.closing, FAR),
        closing_length=ibis.ifelse(visible, ibis.least(length, LONGEST), 0),
    )


def _dates(days: ir.Table, as_of: dt.date) -> ir.Table:
    years = range(as_of.year - YEARS_BACK, as_of.year + 2)
    year = days.day.year()
    easter_day = year.cases(*((y, ibis.date(easter(y))) for y in years))
    christmas = year.cases(*((y, ibis.date(dt.date(y, 12, 25))) for y in years))
    next_month = days.day.truncate("M").cast("date") + ibis.interval(months=1)
    return days.mutate(
        weekday=days.day.day_of_week.index(),
        day_of_month=days.day.day(),
        days_to_month_end=next_month.cast("date").delta(days.day, unit="day") - 1,
        week=days.day.week_of_year(),
        day_of_year=days.day.day_of_year(),
        easter_days=days.day.delta(easter_day, unit="day"),
        christmas_days=days.day.delta(christmas, unit="day"),
    )


def _distances(days: ir.Table) -> ir.Table:
    d = days
    closed = ~d.open
    odd = closed & (d.weekday != SUNDAY)  # a Sunday's closing tells nothing
    week = ibis.range_window(preceding=6, following=0, group_by="store", order_by="t")
    return d.mutate(
        promo_day=_since(d, ~d.promo),
        promo_since=_since(d, d.promo),
        promo_until=_until(d, d.promo),
        promo_ends=_until(d, ~d.promo),
        holiday_since=_since(d, d.holiday > 0),
        holiday_until=_until(d, d.holiday > 0),
        school_day=_since(d, ~d.school),
        school_since=_since(d, d.school),
        school_until=_until(d, d.school),
        school_ends=_until(d, ~d.school),
        open_days=_since(d, closed),
        closed_since=_since(d, odd),
        closed_until=_until(d, odd),
        open_week=d.open.cast("int64").sum().over(week),
    )


def _closures(days: ir.Table) -> ir.Table:
    """The open days, each with the closure behind it and the one ahead, counted in open days.

    `closing_start` (a `t`) and the whole `closing_length` go along for `seen_from` to cut.
    """
    by_store = ibis.window(group_by="store", order_by="t")
    d = days.mutate(
        place=ibis.row_number().over(by_store),
        rows=ibis._.count().over(ibis.window(group_by="store")),
    ).filter(ibis._.open)
    # Closed rows right before and right after each open day; a day without a row is not among them.
    d = d.mutate(
        shut=(d.place - d.place.lag().over(by_store) - 1).fill_null(0),
        shuts=d.place.lead().over(by_store).fill_null(d.rows) - d.place - 1,
        nth=ibis.row_number().over(by_store),
    )
    behind = ibis.window(group_by="store", order_by="t", following=0)
    ahead = ibis.window(group_by="store", order_by="t", preceding=0)
    d = d.mutate(
        last=ibis.ifelse(d.shut >= LONG, d.nth, None).max().over(behind),
        next=ibis.ifelse(d.shuts >= LONG, d.nth, None).min().over(ahead),
        closing_start=ibis.ifelse(d.shuts >= LONG, d.t + 1, None).min().over(ahead),
    )
    # Rows share a closure behind (ahead) by its number, so its length is the only one among them.
    d = d.mutate(
        reopened=_near(d.nth - d["last"] + 1),
        closing=_near(d["next"] - d.nth + 1),
        reopened_length=ibis.ifelse(d.shut >= LONG, d.shut, None).max().over(ibis.window(group_by=("store", "last"))),
        closing_length=ibis.ifelse(d.shuts >= LONG, d.shuts, None).max().over(ibis.window(group_by=("store", "next"))),
    )
    return d.mutate(
        reopened_length=ibis.ifelse(d.reopened < FAR, ibis.least(d.reopened_length, FAR), 0).fill_null(0),
        closing_length=d.closing_length.fill_null(0),
        closing_start=d.closing_start.fill_null(UNSEEN),
    )


def _with_stores(days: ir.Table, stores: ir.Table) -> ir.Table:
    d = days.join(
        stores.select(
            "store",
            "competition_since",
            "promo2_since",
            "promo2_months",
            distance=stores.competition_distance,
            **{name: stores[name].fill_null(UNKNOWN) for name in WORDS},
        ),
        "store",
    )
    month = d.day.month().cases(*enumerate(MONTHS, start=1))
    weeks = d.day.delta(d.promo2_since, unit="day") / 7
    return d.select(
        "store",
        "day",
        "t",
        "closing_start",
        *WORDS,
        **{name: d[name].cast("float64") for name in KNOWN if name in d.columns and name not in WORDS},
        promo2_weeks=weeks.clip(-52, 156),
        promo2_month=((weeks >= 0) & d.promo2_months.contains(month)).fill_null(False).cast("float64"),
        competition_months=(d.day.delta(d.competition_since, unit="day") / 30).clip(-24, 60),
        competition_distance=(d.distance + 1).ln(),
    )


def _since(days: ir.Table, flag: ir.BooleanValue) -> ir.IntegerValue:
    last = ibis.ifelse(flag, days.t, None).max().over(ibis.window(group_by="store", order_by="t", following=0))
    return _near(days.t - last)


def _until(days: ir.Table, flag: ir.BooleanValue) -> ir.IntegerValue:
    following = ibis.ifelse(flag, days.t, None).min().over(ibis.window(group_by="store", order_by="t", preceding=0))
    return _near(following - days.t)


def _near(distance: ir.IntegerValue) -> ir.IntegerValue:
    return ibis.least(distance.fill_null(FAR), FAR)
