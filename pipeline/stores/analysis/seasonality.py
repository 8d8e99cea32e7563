"""Seasonality and trend: weekdays, months, years, and what a day's sales remember (ACF and PACF)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.reports.charts import COLOURS, GREY, figure_json, stacked_figure
from pipeline.reports.page import Section
from pipeline.reports.phrasing import MONTHS, WEEKDAYS, above_or_below, more_or_less, percent_change, signed_percent
from pipeline.stores.analysis.base import largest, smallest

if TYPE_CHECKING:
    import ibis.expr.types as ir

YEAR = 364
"""Days: whole weeks, so that weekdays meet."""
LAGS = 42
MOSTLY = 0.5
"""A trading day is one on which this share of the most stores that ever sold did sell."""
SURE = 1.96
SIGNIFICANT = 0.05
HEADING = "Seasonality and trend"
HEADING_ACF = "What a day's sales remember"


@dataclass(frozen=True)
class Seasonality:
    """Attributes:
    weekdays: by weekday: log sales without promotion and holiday against their mean over weekdays.
    months: by month (1 to 12): mean excess over the usual against the mean of months.
    weeks: by week (its Monday): excess, and trend, its mean over 52 weeks around it (NaN near the ends).
    growth: log of the last 52 weeks over the 52 before; None with less than that.
    """

    weekdays: pd.Series
    months: pd.Series
    weeks: pd.DataFrame
    growth: float | None


@dataclass(frozen=True)
class Memory:
    """Attributes:
    acf, pacf: by lag in trading days, from 1, of the chain's mean log sales of a day.
    bound: beyond it a coefficient is hardly chance (95 %, white noise).
    week: trading days of a week.
    p: of the augmented Dickey-Fuller test; None where it cannot be made.
    days: trading days.
    """

    acf: pd.Series
    pacf: pd.Series
    bound: float
    week: int
    p: float | None
    days: int


def seasonality(open_days: ir.Table, daily: pd.DataFrame) -> Seasonality:
    """Averages against each store's own level, so that stores which come, go or are missing bend nothing."""
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
    back = (end - days).days
    last, before = ((back > k * YEAR) & (back <= (k + 1) * YEAR) for k in (0, 1))
    growth = None
    if (end - days.min()).days >= 2 * YEAR:
        growth = float(_mean(daily[last]) - _mean(daily[before]))
    return Seasonality(
        weekdays - weekdays.mean(),
        months - months.mean(),
        pd.DataFrame({"excess": weeks, "trend": trend}),
        growth,
    )


def seasonality_section(found: Seasonality) -> Section:
    """Weeks with their trend, months and weekdays."""
    weekdays, months = found.weekdays, found.months
    sentences = []
    if len(weekdays) > 1:
        best, least = largest(weekdays), smallest(weekdays)
        sentences.append(
            f"Without promotion the best day is {WEEKDAYS[best]}, {above_or_below(percent_change(weekdays[best]))} "
            "the mean of "
            "weekdays, the "
            f"weakest {WEEKDAYS[least]}, {above_or_below(percent_change(weekdays[least]))} it; each store against "
            "itself."
        )
    if len(months) > 1:
        best, least = largest(months), smallest(months)
        sentences.append(
            f"Of the months {MONTHS[best - 1]} is the strongest ({signed_percent(percent_change(months[best]))}) and "
            f"{MONTHS[least - 1]} the "
            f"weakest ({signed_percent(percent_change(months[least]))}), given weekday and promotion."
        )
    sentences.append(
        "There are less than two years of days, so no year can be held against the one before."
        if found.growth is None
        else f"In the last 52 weeks stores sold {more_or_less(percent_change(found.growth))} a day than in the 52 "
        "weeks before, "
        "given "
        "weekday and promotion."
    )
    figure = stacked_figure(["by week, against the usual", "by month", "by weekday, without promotion"])
    weeks = found.weeks
    figure.add_scatter(
        name="week", x=weeks.index, y=_per_cents(weeks["excess"]), line={"color": COLOURS[0], "width": 1}, row=1, col=1
    )
    figure.add_scatter(
        name="mean of 52 weeks", x=weeks.index, y=_per_cents(weeks["trend"]), line={"color": COLOURS[1], "width": 3},
        row=1, col=1,
    )  # fmt: skip
    for row, labels, values in (
        (2, [MONTHS[month - 1] for month in months.index], months),
        (3, [WEEKDAYS[day][:3] for day in weekdays.index], weekdays),
    ):
        figure.add_bar(x=labels, y=_per_cents(values), marker_color=COLOURS[0], showlegend=False, row=row, col=1)
    figure.update_yaxes(title="%")
    return Section(HEADING, sentences, figure=figure_json(figure, heights=3))


def memory(daily: pd.DataFrame) -> Memory:
    """Autocorrelations of the trading days in their order, days on which most stores are closed left out."""
    from statsmodels.tsa.stattools import acf, adfuller, pacf

    trading = daily[daily["stores"] >= MOSTLY * daily["stores"].max()]
    series = trading["level"].to_numpy(float)
    lags = min(LAGS, len(series) // 2 - 1)
    span = (daily.index.max() - daily.index.min()).days + 1
    week = round(7 * len(series) / span) if span > 7 else 7
    if lags < 1 or np.ptp(series) == 0:
        empty = pd.Series(dtype=float)
        return Memory(empty, empty, float("nan"), week, None, len(series))
    index = pd.RangeIndex(1, lags + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a series that is too regular for the test
        found = pd.Series(acf(series, nlags=lags)[1:], index)
        partial = pd.Series(pacf(series, nlags=lags)[1:], index)
        try:
            p = float(adfuller(series)[1])
        except (ValueError, np.linalg.LinAlgError):
            p = float("nan")
    return Memory(found, partial, SURE / float(np.sqrt(len(series))), week, p if np.isfinite(p) else None, len(series))


def memory_section(found: Memory) -> Section:
    """ACF and PACF by lag."""
    if found.acf.empty:
        return Section(HEADING_ACF, ["There are too few trading days, or their sales never vary."])
    best = largest(found.acf)
    weekly = found.acf.get(found.week, np.nan)
    sentences = [
        f"The chain's mean log sales of {found.days:,} days on which most stores were open; a lag is such a day, "
        f"{found.week} make a week. A day is most like the day {best} before (autocorrelation {found.acf[best]:+.2f}), "
        + (
            f"which is {best / found.week:.0f} {'week' if best == found.week else 'weeks'}"
            if best % found.week == 0
            else "which is no whole week"
        )
        + f"; with the day before it is {found.acf[1]:+.2f}"
        + (f", with the week before {weekly:+.2f}." if np.isfinite(weekly) and best != found.week else "."),
    ]
    beyond = found.pacf[found.pacf.abs() > found.bound]
    if len(beyond):
        strongest = beyond.abs().sort_values(ascending=False).index[:5]
        sentences.append(
            f"What a lag says beyond all shorter ones is more than chance at {len(beyond)} of {len(found.pacf)} lags, "
            "most at "
            f"{', '.join(f'{lag} ({found.pacf[lag]:+.2f})' for lag in strongest)}."
        )
    else:
        sentences.append("No lag says anything beyond the shorter ones that could not be chance.")
    if found.p is not None:
        p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
        sentences.append(
            f"A unit root is ruled out ({p}, augmented Dickey-Fuller): sales come back to their level."
            if found.p < SIGNIFICANT
            else f"A unit root cannot be ruled out ({p}, augmented Dickey-Fuller): the level may wander."
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
    return Section(HEADING_ACF, sentences, figure=figure_json(figure, heights=2))


def _mean(days: pd.DataFrame) -> float:
    return float((days["excess"] * days["stores"]).sum() / days["stores"].sum())


def _per_cents(values: pd.Series) -> list[float | None]:
    return [round(percent_change(value), 3) if np.isfinite(value) else None for value in values]
