"""Seasonality and trend: weekdays, months, years, and autocorrelation (ACF and PACF) of daily sales."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.reports.charts import COLOURS, GREY, figure_json, stacked_figure
from pipeline.reports.page import Section
from pipeline.reports.phrasing import (
    MONTHS,
    WEEKDAYS,
    above_or_below,
    counted,
    decimal,
    more_or_less,
    percent_change,
    signed,
    signed_percent,
)
from pipeline.stores.analysis.base import largest, smallest

if TYPE_CHECKING:
    import ibis.expr.types as ir

YEAR_DAYS = 364
"""Whole weeks, so that a day is compared with the same weekday of the year before."""
MAX_LAG = 42
"""Trading days."""
MIN_STORE_SHARE = 0.5
"""Share of the largest number of open stores that must be open on a trading day."""
Z_95 = 1.96
SIGNIFICANCE = 0.05
HEADING = "Seasonality and trend"
HEADING_AUTOCORRELATION = "Autocorrelation of daily sales"


@dataclass(frozen=True)
class Seasonality:
    """Seasonal patterns as differences of logs.

    Attributes:
        weekdays: by weekday (0 is Monday): log sales without promotions and holidays, relative to the mean of weekdays.
        months: by month (1 to 12): mean excess over usual sales, relative to the mean of months.
        weeks: by week (its Monday): excess, and trend, its centred mean over 52 weeks (NaN near the ends).
        growth: change from the second last 52 weeks to the last 52 weeks; None with less data.
    """

    weekdays: pd.Series
    months: pd.Series
    weeks: pd.DataFrame
    growth: float | None


@dataclass(frozen=True)
class Autocorrelation:
    """Autocorrelation of the chain's mean log sales per trading day.

    Attributes:
        acf: autocorrelations by lag in trading days, from 1.
        pacf: partial autocorrelations.
        bound: absolute value beyond which a coefficient is significant (95 %, white noise).
        week: trading days per week.
        p: p-value of the augmented Dickey-Fuller test; None where the test is not defined.
        days: number of trading days.
    """

    acf: pd.Series
    pacf: pd.Series
    bound: float
    week: int
    p: float | None
    days: int


def measure_seasonality(open_days: ir.Table, daily: pd.DataFrame) -> Seasonality:
    """Average sales relative to each store's own level, so that averages do not depend on which stores have data."""
    plain = open_days.filter((open_days.holiday == "none") & ~open_days.promo)
    levels = plain.group_by("weekday").agg(level=plain.level.mean()).order_by("weekday").to_pandas()
    weekdays = levels.set_index("weekday")["level"]
    days = pd.DatetimeIndex(daily.index)
    total = daily["excess"] * daily["stores"]
    months = total.groupby(days.month).sum() / daily["stores"].groupby(days.month).sum()
    monday = days - pd.to_timedelta(days.weekday.to_numpy(), unit="D")
    weeks = total.groupby(monday).sum() / daily["stores"].groupby(monday).sum()
    weeks = weeks.asfreq("7D")
    trend = weeks.rolling(52, center=True, min_periods=50).mean()
    end = days.max() + pd.Timedelta(days=1)
    days_back = (end - days).days
    last, before = ((days_back > k * YEAR_DAYS) & (days_back <= (k + 1) * YEAR_DAYS) for k in (0, 1))
    growth = None
    if (end - days.min()).days >= 2 * YEAR_DAYS:
        growth = float(_mean_excess(daily[last]) - _mean_excess(daily[before]))
    return Seasonality(
        weekdays - weekdays.mean(),
        months - months.mean(),
        pd.DataFrame({"excess": weeks, "trend": trend}),
        growth,
    )


def seasonality_section(found: Seasonality) -> Section:
    """Show weeks with their trend, months and weekdays."""
    weekdays, months = found.weekdays, found.months
    sentences = []
    if len(weekdays) > 1:
        best, least = largest(weekdays), smallest(weekdays)
        sentences.append(
            f"Without promotion the best day is {WEEKDAYS[best]}, {above_or_below(percent_change(weekdays[best]))} the "
            f"mean of weekdays; the weakest is {WEEKDAYS[least]}, "
            f"{above_or_below(percent_change(weekdays[least]))} it. Each store is compared with itself."
        )
    if len(months) > 1:
        best, least = largest(months), smallest(months)
        sentences.append(
            f"The strongest month is {MONTHS[best - 1]} ({signed_percent(percent_change(months[best]))}), the weakest "
            f"{MONTHS[least - 1]} ({signed_percent(percent_change(months[least]))}), relative to the mean of months, "
            "corrected for weekday and promotion."
        )
    sentences.append(
        "The data cover less than two years, so there is no comparison with the year before."
        if found.growth is None
        else f"In the last 52 weeks stores sold {more_or_less(percent_change(found.growth))} per day than in the 52 "
        "weeks before, corrected for weekday and promotion."
    )
    figure = stacked_figure(["by week, relative to usual sales", "by month", "by weekday, without promotion"])
    weeks = found.weeks
    figure.add_scatter(
        name="week",
        x=weeks.index,
        y=_in_per_cent(weeks["excess"]),
        line={"color": COLOURS[0], "width": 1},
        row=1,
        col=1,
    )
    figure.add_scatter(
        name="mean of 52 weeks", x=weeks.index, y=_in_per_cent(weeks["trend"]), line={"color": COLOURS[1], "width": 3},
        row=1, col=1,
    )  # fmt: skip
    for row, labels, values in (
        (2, [MONTHS[month - 1] for month in months.index], months),
        (3, [WEEKDAYS[day][:3] for day in weekdays.index], weekdays),
    ):
        figure.add_bar(x=labels, y=_in_per_cent(values), marker_color=COLOURS[0], showlegend=False, row=row, col=1)
    figure.update_yaxes(title="%")
    return Section(HEADING, sentences, figure=figure_json(figure, heights=3))


def measure_autocorrelation(daily: pd.DataFrame) -> Autocorrelation:
    """Compute autocorrelations over the trading days; days on which most stores are closed are left out."""
    from statsmodels.tsa.stattools import acf, adfuller, pacf

    trading = daily[daily["stores"] >= MIN_STORE_SHARE * daily["stores"].max()]
    series = trading["level"].to_numpy(float)
    lags = min(MAX_LAG, len(series) // 2 - 1)
    span = (daily.index.max() - daily.index.min()).days + 1
    week = round(7 * len(series) / span) if span > 7 else 7
    if lags < 1 or np.ptp(series) == 0:
        empty = pd.Series(dtype=float)
        return Autocorrelation(empty, empty, float("nan"), week, None, len(series))
    index = pd.RangeIndex(1, lags + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels warns when a series is too regular for the test
        correlations = pd.Series(acf(series, nlags=lags)[1:], index)
        partial = pd.Series(pacf(series, nlags=lags)[1:], index)
        try:
            p = float(adfuller(series)[1])
        except (ValueError, np.linalg.LinAlgError):
            p = float("nan")
    return Autocorrelation(
        correlations, partial, Z_95 / float(np.sqrt(len(series))), week, p if np.isfinite(p) else None, len(series)
    )


def autocorrelation_section(found: Autocorrelation) -> Section:
    """Show ACF and PACF by lag."""
    if found.acf.empty:
        return Section(HEADING_AUTOCORRELATION, ["There are too few trading days, or their sales never vary."])
    best = largest(found.acf)
    weekly = found.acf.get(found.week, np.nan)
    sentences = [
        f"These are correlations of the chain's mean log sales over {found.days:,} trading days, days on which most "
        f"stores are open; {found.week} of them are a week. The autocorrelation is highest at a lag of "
        f"{counted(best, 'trading day')} ({signed(found.acf[best])}), "
        + (
            f"which is {counted(best / found.week, 'week')}"
            if best % found.week == 0
            else "which is not a whole number of weeks"
        )
        + f"; at a lag of 1 day it is {signed(found.acf[1])}"
        + (f", at a lag of one week {signed(weekly)}." if np.isfinite(weekly) and best != found.week else "."),
    ]
    beyond = found.pacf[found.pacf.abs() > found.bound]
    if len(beyond):
        strongest = beyond.abs().sort_values(ascending=False).index[:5]
        sentences.append(
            f"The partial autocorrelation is significant at {len(beyond)} of {len(found.pacf)} lags, and largest at "
            f"{', '.join(f'{lag} ({signed(found.pacf[lag])})' for lag in strongest)}."
        )
    else:
        sentences.append("The partial autocorrelation is not significant at any lag.")
    if found.p is not None:
        p = "p < 0.001" if found.p < 0.001 else f"p = {decimal(found.p, 3)}"
        sentences.append(
            f"A unit root is rejected ({p}, augmented Dickey-Fuller test): sales return to their level."
            if found.p < SIGNIFICANCE
            else f"A unit root is not rejected ({p}, augmented Dickey-Fuller test): the level of sales may drift."
        )
    figure = stacked_figure(["autocorrelation (ACF)", "partial autocorrelation (PACF)"])
    for row, values in enumerate((found.acf, found.pacf), 1):
        weeks = [COLOURS[1] if lag % found.week == 0 else COLOURS[0] for lag in values.index]
        figure.add_bar(
            x=values.index.to_numpy(),
            y=values.round(4),
            marker_color=weeks,
            width=0.5,
            showlegend=False,
            row=row,
            col=1,
        )
        for side in (-1, 1):
            figure.add_hline(y=side * found.bound, line_dash="dash", line_color=GREY, row=row, col=1)
    figure.update_xaxes(title="lag in trading days; whole weeks in orange", row=2, col=1)
    widest = min(1.05, 1.1 * float(max(found.acf.abs().max(), found.pacf.abs().max())))
    figure.update_yaxes(range=[-widest, widest])
    return Section(HEADING_AUTOCORRELATION, sentences, figure=figure_json(figure, heights=2))


def _mean_excess(days: pd.DataFrame) -> float:
    return float((days["excess"] * days["stores"]).sum() / days["stores"].sum())


def _in_per_cent(values: pd.Series) -> list[float | None]:
    return [round(percent_change(value), 3) if np.isfinite(value) else None for value in values]
