"""The forecast of the chain, compared with the sales before it and a year earlier, always for the same stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
import numpy as np
import pandas as pd

from pipeline.reports.charts import COLOURS, GREY, figure_json, stacked_figure
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import amount, count, counted, long_date, more_or_less, with_unit
from pipeline.stores.analysis.base import largest, with_timestamps

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir

YEAR_DAYS = 364
"""Whole weeks, so that a day is compared with the same weekday of the year before."""
HISTORY_DAYS = 84
"""Days of history shown before the days to forecast."""
HEADING_CHAIN = "The forecast of all planned stores"


@dataclass(frozen=True)
class SalesHistory:
    """Past sales of the stores that have a forecast: one row per store, one column per day.

    Sales are NaN where the day has no row, and 0 where the store was closed or sold nothing.

    Attributes:
        recent: sales of the `HISTORY_DAYS` days before as_of.
        promoted: whether the store had a promotion on those days.
        year_ago: sales `YEAR_DAYS` before the days to forecast; the columns are the days to forecast.
        unplanned: numbers of the other known stores, which have no forecast because no day of theirs is planned.
    """

    recent: pd.DataFrame
    promoted: pd.DataFrame
    year_ago: pd.DataFrame
    unplanned: list[int]


@dataclass(frozen=True)
class YearComparison:
    """Forecast and sales a year earlier, summed by day over the store days for which both are known.

    Attributes:
        forecast: forecast sales by day to forecast.
        year_ago: sales `YEAR_DAYS` earlier; the index is the day to forecast.
        stores: how many stores are part of the sums.
        store_days: how many store days are part of the sums.
    """

    forecast: pd.Series
    year_ago: pd.Series
    stores: int
    store_days: int

    @property
    def change(self) -> float:
        """The change of the total in per cent; NaN if nothing was sold a year earlier."""
        before = float(self.year_ago.sum())
        return 100 * (float(self.forecast.sum()) / before - 1) if before > 0 else np.nan


def read_history(store_days: ir.Table, as_of: date, forecasts: pd.DataFrame) -> SalesHistory:
    """Read the past sales of the stores that have a forecast.

    Args:
        store_days: the clean days before as_of of all stores.
        as_of: the day on which the forecast was made.
        forecasts: store and day of every forecast.
    """
    days = pd.DatetimeIndex(sorted(forecasts["day"].unique()))
    stores = np.unique(forecasts["store"])
    start = pd.Timestamp(as_of)
    days_back = as_of.toordinal() - store_days.day.delta(ibis.date(1, 1, 1), unit="day") - 1
    needed = days_back.between(1, HISTORY_DAYS)
    if len(days):
        needed |= days_back.between(YEAR_DAYS - (days.max() - start).days, YEAR_DAYS)
    rows = with_timestamps(store_days.filter(needed).select("store", "day", "sales", "promo").to_pandas())
    recent_days = pd.date_range(start - pd.Timedelta(days=HISTORY_DAYS), start, inclusive="left")
    sales = rows.pivot(index="store", columns="day", values="sales").astype(float).reindex(index=stores)
    promoted = rows.pivot(index="store", columns="day", values="promo").reindex(index=stores, columns=recent_days)
    year_ago = sales.reindex(columns=days - pd.Timedelta(days=YEAR_DAYS)).set_axis(days, axis=1)
    known = store_days.select("store").distinct().to_pandas()["store"]
    unplanned = sorted(int(store) for store in set(known) - set(stores.tolist()))
    return SalesHistory(sales.reindex(columns=recent_days), promoted.eq(True), year_ago, unplanned)


def compare_with_last_year(forecasts: pd.DataFrame, history: SalesHistory) -> YearComparison:
    """Sum forecasts and sales a year earlier over the store days for which both are known."""
    forecast = forecasts.pivot(index="store", columns="day", values="mean")
    year_ago = history.year_ago.reindex(index=forecast.index, columns=forecast.columns)
    both = forecast.notna() & year_ago.notna()
    return YearComparison(
        forecast.where(both).sum(min_count=1),
        year_ago.where(both).sum(min_count=1),
        int(both.any(axis=1).sum()),
        int(both.to_numpy().sum()),
    )


def chain_section(
    forecasts: pd.DataFrame, history: SalesHistory, sums: pd.DataFrame | None = None, sums_file: str | None = None
) -> Section:
    """Show the sums by day, and the totals of chain, states and store types with their intervals.

    Args:
        forecasts: store, day and mean of every forecast.
        history: `read_history` of the stores.
        sums: what, sum, low_80, high_80, low_95 and high_95 of each total; none for a version of an earlier release.
        sums_file: the address of all sums as CSV relative to the page; None without sums.
    """
    if forecasts.empty:
        return Section(HEADING_CHAIN, ["There is no forecast: no store day is planned."])
    by_day = forecasts.groupby("day")["mean"].sum()
    stores, best = forecasts["store"].nunique(), largest(by_day)
    comparison = compare_with_last_year(forecasts, history)
    sentences = [
        f"The {counted(stores, 'planned store')} will sell {amount(by_day.sum())} in total in the "
        f"{counted(len(by_day), 'day')} from {long_date(by_day.index[0])} to {long_date(by_day.index[-1])}. The best "
        f"day is {best:%A}, {long_date(best)}, with {amount(by_day[best])}.",
        _comparison_sentence(comparison, len(forecasts)),
        *_unplanned_sentences(history, stores),
    ]
    titles = [f"sales and forecast of {counted(stores, 'planned store')}"]
    lines = [
        (1, "sales", history.recent.sum(min_count=1), GREY, "solid"),
        (1, "forecast", by_day, COLOURS[0], "solid"),
    ]
    if np.isfinite(comparison.change):
        titles.append(f"forecast and 52 weeks earlier, {counted(comparison.stores, 'store')}")
        lines += [
            (2, "forecast of these stores", comparison.forecast, COLOURS[0], "dash"),
            (2, "52 weeks earlier", comparison.year_ago, COLOURS[1], "dot"),
        ]
    figure = stacked_figure(titles)
    for row, name, values, colour, dash in lines:
        figure.add_scatter(
            name=name,
            x=values.index,
            y=_chart_values(values),
            mode="lines",
            line={"color": colour, "dash": dash},
            row=row,
            col=1,
        )
    figure.update_yaxes(title=with_unit("sales per day"), rangemode="tozero")
    table = None
    if sums is not None and len(sums):
        chain = sums.iloc[0]
        sentences.append(
            f"The total lies between {amount(chain['low_80'])} and {amount(chain['high_80'])} in 80 of 100 such "
            f"forecasts, and between {amount(chain['low_95'])} and {amount(chain['high_95'])} in 95. The ends of the "
            "stores' own intervals do not add up to these: part of their errors cancels, and part is common to all."
        )
        cells = [
            (str(line["what"]), *(amount(line[name]) for name in ("sum", "low_80", "high_80", "low_95", "high_95")))
            for _, line in sums.iterrows()
        ]
        columns = ("total of", "forecast", "from (80 %)", "to (80 %)", "from (95 %)", "to (95 %)")
        table = Table(columns, cells, frozenset(range(1, 6)))
    markup = sums_file and f'<p><a href="{sums_file}" download>All sums as CSV, also of weeks and of each store</a></p>'
    return Section(HEADING_CHAIN, sentences, table, figure_json(figure, heights=len(titles)), markup=markup)


def _comparison_sentence(comparison: YearComparison, store_days: int) -> str:
    if not np.isfinite(comparison.change):
        return "No sales 52 weeks earlier are known of these stores, so there is no comparison with last year."
    change = (
        f"{more_or_less(comparison.change)} than the {amount(comparison.year_ago.sum())} that the same stores sold on "
        "the same weekdays 52 weeks earlier."
    )
    if comparison.store_days == store_days:
        return f"That is {change}"
    return (
        f"For {counted(comparison.stores, 'store')} the sales of 52 weeks earlier are known, on "
        f"{count(comparison.store_days)} of the {counted(store_days, 'planned store day')}. On these days they will "
        f"sell {amount(comparison.forecast.sum())}, {change}"
    )


def _unplanned_sentences(history: SalesHistory, stores: int) -> list[str]:
    if not history.unplanned:
        return []
    unplanned = len(history.unplanned)
    return [
        f"{counted(unplanned, 'store')} of the {count(unplanned + stores)} known {'has' if unplanned == 1 else 'have'} "
        "no planned days, and therefore no forecast; no figure of this section includes them."
    ]


def _chart_values(values: pd.Series) -> list[float | None]:
    return [round(float(value), 2) if np.isfinite(value) else None for value in values]
