"""What promotions do to sales and customers, in which stores they pay, and how many of them lie ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import NEGLIGIBLE, WEEKDAYS, counted, more_or_less, percent_change, signed_percent
from pipeline.stores.analysis.base import dates, largest, smallest

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir

SHOWN_BEFORE = 84
"""Days of history beside the days to forecast."""
FEWEST = 3
"""Days of a kind that a store needs on a weekday."""
SURE = 1.96
HEADING_PLANS = "Promotions in training and in the period to forecast"
HEADING_EFFECT = "What promotions do to sales and to customers"
HEADING_STORES = "In which stores promotions pay"
FACTS = {"promo": "promotion", "open": "open", "state_holiday": "state holiday", "school_holiday": "school holiday"}
MEASURES = {"sales": "sales", "customers": "customers", "a_customer": "sales a customer"}


@dataclass(frozen=True)
class Plans:
    """Shares of store days, in training and ahead.

    Attributes:
        shares: by fact of `FACTS`: training, ahead (0 to 1).
        promoted: share of stores with promotion by day, `SHOWN_BEFORE` days of history and what is ahead.
        promoted_days: days ahead with a promotion anywhere; of_days: days ahead.
    """

    shares: pd.DataFrame
    promoted: pd.Series
    promoted_days: int
    of_days: int


@dataclass(frozen=True)
class Uplift:
    """What promotions change, as differences of logs within store and weekday.

    Attributes:
        overall: sales, customers, a_customer: means over stores; NaN where nothing can be said.
        weekdays: the same, one row a weekday that has days with and without promotion.
        stores: by store: sales, customers, a_customer, low and high (of sales, 95 %), extra (sales a promoted day).
    """

    overall: pd.Series
    weekdays: pd.DataFrame
    stores: pd.DataFrame


def plans(store_days: ir.Table, ahead: ir.Table, as_of: date) -> Plans:
    """Compare the days ahead with those of training.

    Args:
        store_days: all days before as_of, open or not. ahead: the plan of the days to forecast.
    """

    def shares(days: ir.Table) -> dict[str, float]:
        facts = {"promo": days.promo, "open": days.open, "school_holiday": days.school_holiday}
        facts["state_holiday"] = days.state_holiday != "none"
        row = days.agg(**{name: fact.cast("float64").mean() for name, fact in facts.items()}).to_pandas().iloc[0]
        return {name: float(row[name]) for name in FACTS}

    def promoted(days: ir.Table) -> pd.Series:
        daily = days.group_by("day").agg(promo=days.promo.cast("float64").mean()).order_by("day").to_pandas()
        return dates(daily).set_index("day")["promo"]

    near = store_days.filter(store_days.day >= ibis.date(as_of) - ibis.interval(days=SHOWN_BEFORE))
    coming = promoted(ahead)
    found = pd.DataFrame({"training": shares(store_days), "ahead": shares(ahead)})
    return Plans(found, pd.concat([promoted(near), coming]), int((coming > 0).sum()), len(coming))


def plans_section(found: Plans, as_of: date) -> Section:
    """Promotions, openings and holidays of both."""
    share = 100 * found.shares
    training, ahead = share["training"]["promo"], share["ahead"]["promo"]
    sentences = []
    if not training > 0 and not ahead > 0:
        sentences.append("No store was promoted before, and none will be in the days to forecast.")
    elif not ahead > 0:
        sentences.append(
            f"No store is promoted in the {counted(found.of_days, 'day')} to forecast; before, {training:.1f} % of the "
            "store days were."
        )
    elif not training > 0:
        sentences.append(
            f"No store was promoted in training, but {ahead:.1f} % of the store days to forecast will be: no model can "
            "know what that does."
        )
    else:
        compared = (
            "as often as" if abs(ahead - training) < 1 else "more often than" if ahead > training else "less often than"
        )
        sentences.append(
            f"In {found.promoted_days} of the {counted(found.of_days, 'day')} to forecast stores are promoted, on "
            f"{ahead:.1f} % of the store days: {compared} in training with {training:.1f} %."
        )
    other = share.drop("promo")
    furthest = largest((other["ahead"] - other["training"]).abs())
    if found.of_days:
        ahead, training = other["ahead"][furthest], other["training"][furthest]
        sentences.append(
            f"What else differs most is the share of store days that are {'' if furthest == 'open' else 'a '}"
            f"{FACTS[furthest]}: {ahead:.1f} % ahead, {training:.1f} % in training."
            if abs(ahead - training) >= NEGLIGIBLE
            else "Openings and holidays are as frequent as in training."
        )
    past = found.promoted[found.promoted.index < pd.Timestamp(as_of)]
    coming = found.promoted[found.promoted.index >= pd.Timestamp(as_of)]
    figure = go.Figure(
        [
            go.Bar(name=name, x=part.index, y=100 * part.to_numpy(), marker_color=colour)
            for name, part, colour in (("training", past, GREY), ("to forecast", coming, COLOURS[0]))
        ]
    )
    return Section(
        HEADING_PLANS,
        sentences,
        Table(
            ("share of store days", "training", "to forecast"),
            [
                (FACTS[str(name)], *(f"{value:.1f} %" if np.isfinite(value) else "–" for value in row))
                for name, row in share.iterrows()
            ],
            frozenset({1, 2}),
        ),
        figure_json(figure, yaxis={"title": "stores promoted, %", "range": [0, 103]}, bargap=0.1),
    )


def uplift(open_days: ir.Table) -> Uplift:
    """Compare days with promotion with the same store's same weekday without, state holidays left aside.

    A weekday counts by n1 n0 / (n1 + n0), with n1 days with promotion and n0 without: the weight that makes the
    difference most certain when days scatter alike. The interval takes days as independent of one another.
    """
    days = open_days.filter(open_days.holiday == "none")
    a_customer = (days.sales / days.customers).ln()
    cells = days.group_by("store", "weekday", "promo").agg(
        n=days.count(),
        sales=days.log_sales.mean(),
        variance=days.log_sales.var(how="sample"),
        customers=days.customers.ln().mean(),
        a_customer=a_customer.mean(),
        mean=days.sales.mean(),
    )
    return _compare(cells.to_pandas())


def uplift_section(found: Uplift) -> Section:
    """By weekday, in sales, customers and sales a customer."""
    if found.stores.empty:
        return Section(HEADING_EFFECT, [_nothing()])
    overall = found.overall
    sentences = [
        f"With promotion a store sells {more_or_less(percent_change(overall['sales']))} than on the same weekday "
        "without. All "
        "figures are means over stores."
    ]
    if np.isfinite(overall["customers"]):
        part = overall["customers"] / overall["sales"] if overall["sales"] else np.nan
        sentences.append(
            f"{more_or_less(percent_change(overall['customers'])).capitalize()} customers come, and each spends "
            f"{more_or_less(percent_change(overall['a_customer']))}"
            + (f": {100 * part:.0f} % of the rise is people, the rest is what they buy." if 0 < part < 1 else ".")
        )
    else:
        sentences.append("Customers were not counted, so whether more come or each buys more cannot be said.")
    if len(found.weekdays) > 1:
        best, least = largest(found.weekdays["sales"]), smallest(found.weekdays["sales"])
        sentences.append(
            f"It does most on {WEEKDAYS[best]}s ({signed_percent(percent_change(found.weekdays['sales'][best]))}) "
            "and least on "
            f"{WEEKDAYS[least]}s ({signed_percent(percent_change(found.weekdays['sales'][least]))})."
        )
    shown = [name for name in MEASURES if np.isfinite(overall[name])]
    figure = go.Figure(
        [
            go.Bar(
                name=MEASURES[name],
                x=[WEEKDAYS[day][:3] for day in found.weekdays.index],
                y=100 * np.expm1(found.weekdays[name].to_numpy()),
                marker_color=COLOURS[k],
            )
            for k, name in enumerate(shown)
        ]
    )
    return Section(HEADING_EFFECT, sentences, figure=figure_json(figure, yaxis={"title": "change with promotion, %"}))


def stores_section(found: Uplift, stores: pd.DataFrame) -> Section:
    """Stores by what promotions bring them.

    Args:
        stores: the table of stores, by store.
    """
    if found.stores.empty:
        return Section(HEADING_STORES, [_nothing()])
    by_store = found.stores.sort_values("sales", ascending=False)
    rise = 100 * np.expm1(by_store["sales"])
    surely, not_surely = int((by_store["low"] > 0).sum()), int((by_store["low"] <= 0).sum())
    falls = int((by_store["high"] < 0).sum())
    first, last = by_store.index[0], by_store.index[-1]
    sentences = [
        f"In {surely:,} of {counted(len(by_store), 'store')} promotions surely raise sales (95 % interval above 0); in "
        f"{not_surely:,} that is not sure" + (f", and in {falls:,} of them sales surely fall." if falls else "."),
        f"The middle store gains {signed_percent(float(rise.median()))}; store {first} gains most with "
        f"{signed_percent(rise[first])}, "
        f"store {last} least with {signed_percent(rise[last])}.",
    ]
    types = by_store.join(stores["store_type"]).groupby("store_type")["sales"].agg(["mean", "size"])
    if len(types) > 1:
        best, least = largest(types["mean"]), smallest(types["mean"])
        sentences.append(
            f"Stores of type {best} gain most ({signed_percent(percent_change(types['mean'][best]))}), those of type "
            f"{least} "
            "least "
            f"({signed_percent(percent_change(types['mean'][least]))})."
        )
    sentences.append(
        "Whether a rise pays depends on margin and discount, which the data do not hold: read off the picture how many "
        "stores gain at least what your promotion needs."
    )
    figure = go.Figure(
        go.Scatter(
            x=rise.to_numpy(),
            y=100 * np.arange(1, len(rise) + 1) / len(rise),
            text=[f"store {store}" for store in rise.index],
            mode="lines",
            line={"color": COLOURS[0]},
        )
    )
    best_ten = by_store.nlargest(10, "extra")
    return Section(
        HEADING_STORES,
        sentences,
        Table(
            (
                "most extra sales a day",
                "type",
                "assortment",
                "rise in sales",
                "95 % interval",
                "customers",
                "extra a day",
            ),
            [
                (
                    f"store {store}",
                    str(stores["store_type"].get(store, "–")),
                    str(stores["assortment"].get(store, "–")),
                    signed_percent(percent_change(row["sales"])),
                    f"{signed_percent(percent_change(row['low']))} to {signed_percent(percent_change(row['high']))}",
                    signed_percent(percent_change(row["customers"])),
                    f"{row['extra']:,.0f}",
                )
                for store, row in best_ten.iterrows()
            ],
            frozenset(range(3, 7)),
        ),
        figure_json(
            figure,
            xaxis={"title": "rise in sales with promotion, % (at least)"},
            yaxis={"title": "share of stores, %", "range": [0, 103]},
        ),
    )


def _compare(cells: pd.DataFrame) -> Uplift:
    keys = ["store", "weekday"]
    with_promo = cells[cells["promo"] & (cells["n"] >= FEWEST)].set_index(keys)
    without = cells[~cells["promo"] & (cells["n"] >= FEWEST)].set_index(keys)
    both = with_promo.index.intersection(without.index)
    a, b = with_promo.loc[both], without.loc[both]
    change = a[list(MEASURES)] - b[list(MEASURES)]
    weight = a["n"] * b["n"] / (a["n"] + b["n"])
    error = (a["variance"] / a["n"] + b["variance"] / b["n"]) * weight**2
    extra = (b["mean"] * np.expm1(change["sales"])) * a["n"]
    store = both.get_level_values("store")
    total = weight.groupby(store).sum()
    counts = change.notna().mul(weight, axis=0).groupby(store).sum()
    stores = change.mul(weight, axis=0).groupby(store).sum(min_count=1) / counts
    half = SURE * np.sqrt(error.groupby(store).sum()) / total
    stores = stores.assign(
        low=stores["sales"] - half,
        high=stores["sales"] + half,
        extra=extra.groupby(store).sum() / a["n"].groupby(store).sum(),
    )
    weekdays = change.groupby(both.get_level_values("weekday")).mean()
    return Uplift(stores[list(MEASURES)].mean(), weekdays, stores)


def _nothing() -> str:
    return "No store was promoted on a weekday on which it was also open without promotion, so nothing can be compared."
