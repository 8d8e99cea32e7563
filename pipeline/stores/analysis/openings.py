"""Opening and closing: when stores are open, sales around long closures, and days without data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, SYMBOLS, figure_json, stacked_figure
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    WEEKDAYS,
    above_or_below,
    amount,
    count,
    counted,
    long_date,
    percent,
    percent_change,
    share,
    with_unit,
)
from pipeline.stores.analysis.base import MAX_OFFSET, largest, with_timestamps
from pipeline.stores.calendar import LONG_CLOSURE, SUNDAY

if TYPE_CHECKING:
    import ibis.expr.types as ir

HEADING_CLOSURES = "Opening and closing"
HEADING_WEEKENDS = "Stores open all week and their weekends"
WEEK_DAYS = 7  # days
MIN_GAP_DAYS = 7
"""Days in a row without a row of a store that make a gap."""
MIN_SUNDAY_SHARE = 0.5
"""Share of its Sundays on which a store must be open to count as open all week."""


@dataclass(frozen=True)
class Openings:
    """Opening days, closures and gaps of all stores.

    Attributes:
        weeks: by week (its Monday): open (share of store days), stores (with rows), days (of the week), rows.
        closures: store, start, days: `LONG_CLOSURE` closed days or more in a row, without those that have not ended.
        missing: store, start, days: `MIN_GAP_DAYS` days or more between two rows of a store.
        lasting: number of stores that have been closed for `LONG_CLOSURE` days or more at the end of the data.
        around: place (-1 is the last open day before a closure, 1 the first after it), excess (mean), n.
    """

    weeks: pd.DataFrame
    closures: pd.DataFrame
    missing: pd.DataFrame
    lasting: int
    around: pd.DataFrame


@dataclass(frozen=True)
class Weekends:
    """Stores that are open all week and the others.

    Attributes:
        all_week: number of stores that are open all week.
        others: number of the others.
        sales: mean sales of an open day by weekday; columns all_week and others.
        open: share of open days by weekday; the same columns.
    """

    all_week: int
    others: int
    sales: pd.DataFrame
    open: pd.DataFrame


def find_openings(store_days: ir.Table, open_days: ir.Table) -> Openings:
    """Find closures, gaps, and the excess of sales around closures."""
    week = store_days.day.truncate("W").cast("date")
    weeks = (
        store_days.group_by(day=week)
        .agg(
            open=store_days.open.cast("float64").mean(),
            stores=store_days.store.nunique(),
            days=store_days.day.nunique(),
            rows=store_days.count(),
        )
        .order_by("day")
    )
    by_store = ibis.window(group_by="store", order_by="day")
    d = store_days.mutate(
        place=ibis.row_number().over(by_store),
        gap=store_days.day.delta(store_days.day.lag().over(by_store), unit="day") - 1,
    )
    missing = d.filter(d.gap >= MIN_GAP_DAYS).select("store", start=d.day - d.gap.as_interval("D"), days="gap")
    opened = d.filter(d.open)
    opened = opened.mutate(
        closed=opened.place - opened.place.lag().over(by_store) - 1, last=opened.day.lag().over(by_store)
    )
    closures = opened.filter(opened.closed >= LONG_CLOSURE)
    closures = closures.select("store", start=closures["last"] + ibis.interval(days=1), days="closed")
    ends = d.group_by("store").agg(open=d.place.max(where=d.open), last=d.place.max())
    lasting = ends.filter(ends["last"] - ends.open >= LONG_CLOSURE).count().to_pyarrow().as_py()
    place = {"closes_in": -1, "reopened": 1}
    around = [
        open_days.filter(open_days[name].notnull())
        .group_by(place=open_days[name] * sign)
        .agg(excess=ibis._.excess.mean(), n=ibis._.count())
        .to_pandas()
        for name, sign in place.items()
    ]
    return Openings(
        with_timestamps(weeks.to_pandas()).set_index("day"),
        _sorted_by_store(closures),
        _sorted_by_store(missing),
        int(lasting),
        pd.concat(around, ignore_index=True).sort_values("place", ignore_index=True),
    )


def openings_section(found: Openings) -> Section:
    """Show the open stores by week, and sales before and after closures."""
    weeks, closures, missing = found.weeks, found.closures, found.missing
    sentences = [
        f"Stores are open on {share((weeks['open'] * weeks['rows']).sum(), weeks['rows'].sum())} of all store days."
    ]
    if len(closures):
        longest = closures.loc[largest(closures["days"])]
        sentences.append(
            f"{counted(closures['store'].nunique(), 'store')} had closures of {LONG_CLOSURE} days or more, "
            f"{counted(len(closures), 'closure')} in total. The longest was that of store {longest['store']}, "
            f"{counted(longest['days'], 'day')} from {long_date(longest['start'])}."
        )
        around = found.around.set_index("place")["excess"]
        if {-1, 1} <= set(around.index):
            later = (
                f", on the {MAX_OFFSET}th open day {above_or_below(percent_change(around[MAX_OFFSET]))}"
                if MAX_OFFSET in around.index
                else ""
            )
            sentences.append(
                f"On the last day before such a closure, sales are {above_or_below(percent_change(around[-1]))} usual "
                f"sales, on the first open day after it {above_or_below(percent_change(around[1]))}{later}."
            )
    else:
        sentences.append(f"No store was closed for {LONG_CLOSURE} days or more in a row and opened again.")
    if found.lasting:
        sentences.append(
            f"At the end of the data {counted(found.lasting, 'store has', 'stores have')} been closed for "
            f"{LONG_CLOSURE} days or more."
        )
    if len(missing):
        longest = missing.loc[largest(missing["days"])]
        sentences.append(
            f"{counted(missing['store'].nunique(), 'store has', 'stores have')} a gap of {MIN_GAP_DAYS} days or more "
            f"without data; the longest is {counted(longest['days'], 'day')} (store {longest['store']}, from "
            f"{long_date(longest['start'])}). Such days count neither as closed nor as days without sales."
        )
    else:
        sentences.append(f"No store has a gap of {MIN_GAP_DAYS} days or more without data.")
    figure = stacked_figure(["stores on an average day of the week", "sales around closures"])
    weeks = weeks[weeks["days"] == WEEK_DAYS]
    figure.add_scatter(
        name="with data", x=weeks.index, y=weeks["stores"], line={"color": GREY, "shape": "hv"}, row=1, col=1
    )
    figure.add_scatter(
        name="open",
        x=weeks.index,
        y=(weeks["stores"] * weeks["open"]).round(1),
        line={"color": COLOURS[0]},
        row=1,
        col=1,
    )
    for k, (name, part) in enumerate(
        (
            ("before closing", found.around[found.around["place"] < 0]),
            ("after reopening", found.around[found.around["place"] > 0]),
        )
    ):
        figure.add_scatter(
            name=name,
            x=part["place"],
            y=[percent_change(value) for value in part["excess"]],
            mode="lines+markers",
            line={"color": COLOURS[1 + k]},
            marker={"symbol": SYMBOLS[k]},
            row=2,
            col=1,
        )
    figure.update_yaxes(title="stores", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title="sales relative to usual, %", row=2, col=1)
    figure.update_xaxes(title="open days before (−) and after the closure", row=2, col=1)
    longest_ones = closures.nlargest(10, "days")
    return Section(
        HEADING_CLOSURES,
        sentences,
        Table(
            ("longest closures", "from", "days"),
            [
                (f"store {row['store']}", long_date(row["start"]), count(row["days"]))
                for row in longest_ones.to_dict("records")
            ],
            frozenset({2}),
        )
        if len(closures)
        else None,
        figure_json(figure, heights=2),
    )


def compare_weekends(store_days: ir.Table, open_days: ir.Table) -> Weekends:
    """Compare the stores that are open on most Sundays with the others."""
    weekday = store_days.day.day_of_week.index()
    opened = (
        store_days.mutate(weekday=weekday).group_by("store", "weekday").agg(open=ibis._.open.cast("float64").mean())
    )
    share = opened.to_pandas().pivot(index="store", columns="weekday", values="open")
    sundays = share[SUNDAY].fillna(0) if SUNDAY in share else pd.Series(0.0, share.index)
    group = pd.Series("others", share.index).mask(sundays >= MIN_SUNDAY_SHARE, "all_week")
    days = open_days.filter(open_days.holiday == "none")
    cells = days.group_by("store", "weekday").agg(sales=days.sales.mean()).to_pandas()
    cells["group"] = cells["store"].map(group)

    def means(values: pd.DataFrame, name: str) -> pd.DataFrame:
        table = values.pivot_table(index="weekday", columns="group", values=name)
        return table.reindex(columns=["all_week", "others"])

    open_share = share.stack().rename("open").reset_index().assign(group=lambda f: f["store"].map(group))
    return Weekends(
        int((group == "all_week").sum()),
        int((group == "others").sum()),
        means(cells, "sales"),
        means(open_share, "open"),
    )


def weekends_section(found: Weekends) -> Section:
    """Show sales by weekday of both groups of stores."""
    if not found.all_week:
        return Section(
            HEADING_WEEKENDS,
            [f"No store is open on {percent(MIN_SUNDAY_SHARE, 0)} or more of its Sundays, so none is open all week."],
        )
    sales = found.sales["all_week"]
    week = found.sales * found.open
    weekend = week[week.index >= SUNDAY - 1].sum() / week.sum()
    sentences = [
        f"{counted(found.all_week, 'store is', 'stores are')} open on {percent(MIN_SUNDAY_SHARE, 0)} or more of the "
        f"Sundays, {count(found.others)} are not.",
        f"A store that is open all week sells {amount(sales[SUNDAY])} on a Sunday, "
        f"{above_or_below(100 * (sales[SUNDAY] / sales[SUNDAY - 1] - 1))} a Saturday ({amount(sales[SUNDAY - 1])}); "
        f"its best day is {WEEKDAYS[largest(sales)]}.",
    ]
    if found.others:
        mean = found.sales.drop(index=SUNDAY, errors="ignore").mean()
        sentences.append(
            f"Saturday and Sunday contribute {percent(weekend['all_week'])} of the sales of its week, in other stores "
            f"{percent(weekend['others'])}. From Monday to Saturday, its mean sales per day are "
            f"{above_or_below(100 * (mean['all_week'] / mean['others'] - 1))} those of the others."
        )
    figure = go.Figure(
        [
            go.Bar(
                name=name,
                x=[day[:3] for day in WEEKDAYS],
                y=found.sales[column].reindex(range(7)),
                marker={"color": colour, "pattern": {"shape": pattern}},
            )
            for name, column, colour, pattern in (
                ("open all week", "all_week", COLOURS[0], ""),
                ("others", "others", GREY, "/"),
            )
        ]
    )
    return Section(
        HEADING_WEEKENDS,
        sentences,
        figure=figure_json(figure, barmode="group", yaxis={"title": with_unit("mean sales of an open day")}),
    )


def _sorted_by_store(rows: ir.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas().sort_values(["store", "start"], ignore_index=True)
    return frame.assign(start=pd.to_datetime(frame["start"]))
