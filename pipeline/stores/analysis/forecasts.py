"""The forecast: of the chain, of any store beside its history, and the last one beside what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ibis
import jinja2
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from pipeline.reports.charts import COLOURS, GREY, figure_json, stacked_figure
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import above_or_below, counted, long_date, more_or_less, signed_percent
from pipeline.stores.analysis.base import dates, largest, smallest
from pipeline.stores.analysis.promotions import SHOWN_BEFORE
from pipeline.stores.backtest import error_metrics

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir
    from numpy.typing import NDArray

YEAR = 364
"""Days: whole weeks, so that weekdays meet."""
ENDS = ("low_80", "high_80", "low_95", "high_95")
MOST = 3000
"""Stores that the page can show; of more, those with the largest forecasts."""
DIGITS = 5
HEADING_CHAIN = "The forecast of all stores"
HEADING_STORE = "The forecast of a store"
HEADING_EARLIER = "The last forecast beside what came"


@dataclass(frozen=True)
class History:
    """What the forecast is held against, one column a day, one row a store (NaN: no row; 0: closed or nothing sold).

    Attributes:
        recent: sales of the `SHOWN_BEFORE` days before as_of. promoted: whether promoted on them.
        year_ago: sales of the days `YEAR` before those to forecast, under the days to forecast.
    """

    recent: pd.DataFrame
    promoted: pd.DataFrame
    year_ago: pd.DataFrame


def history(store_days: ir.Table, as_of: date, days: pd.DatetimeIndex) -> History:
    """Read it for the days to forecast."""
    back = as_of.toordinal() - store_days.day.delta(ibis.date(1, 1, 1), unit="day") - 1
    first = YEAR - (days.max() - pd.Timestamp(as_of)).days
    near = store_days.filter(back.between(1, SHOWN_BEFORE) | back.between(first, YEAR))
    found = dates(near.select("store", "day", "sales", "promo").to_pandas())
    start = pd.Timestamp(as_of)
    recent = pd.date_range(start - pd.Timedelta(days=SHOWN_BEFORE), start, inclusive="left")
    sales = found.pivot(index="store", columns="day", values="sales").astype(float)
    promoted = found.pivot(index="store", columns="day", values="promo").reindex(columns=recent)
    ago = sales.reindex(columns=days - pd.Timedelta(days=YEAR)).set_axis(days, axis=1)
    return History(sales.reindex(columns=recent), promoted.eq(True), ago)


def chain_section(forecasts: pd.DataFrame, past: History) -> Section:
    """Sums over stores by day; their intervals are not shown, as those of stores do not add up."""
    if forecasts.empty:
        return Section(HEADING_CHAIN, ["Nothing is forecast."])
    by_day = forecasts.groupby("day")["mean"].sum()
    total, days = float(by_day.sum()), len(by_day)
    best = largest(by_day)
    sentences = [
        f"{counted(forecasts['store'].nunique(), 'store')} will sell {total:,.0f} in the {counted(days, 'day')} from "
        f"{long_date(by_day.index[0])} to {long_date(by_day.index[-1])}; most, {by_day[best]:,.0f}, on {best:%A}, "
        f"{long_date(best)}.",
        _against_last_year(forecasts, past),
    ]
    recent, ago = past.recent.sum(min_count=1), past.year_ago.sum(min_count=1)
    figure = go.Figure()
    for name, values, colour, dash in (
        ("sales", recent, GREY, "solid"),
        ("forecast", by_day, COLOURS[0], "solid"),
        ("52 weeks earlier", ago, COLOURS[1], "dot"),
    ):
        figure.add_scatter(
            name=name, x=values.index, y=_plain(values), mode="lines", line={"color": colour, "dash": dash}
        )
    return Section(HEADING_CHAIN, sentences, figure=figure_json(figure, yaxis={"title": "sales of all stores"}))


def store_section(
    forecasts: pd.DataFrame, plans: pd.DataFrame, past: History, earlier: pd.DataFrame, explained: pd.DataFrame
) -> Section:
    """A picture of any store: history, forecast with intervals, last year, the forecast before, promotions, and why.

    Args:
        plans: store, day, promo of the days to forecast.
        explained: store, day, linear, forecast, feature, contribution (share of linear); may be empty.
    """
    if forecasts.empty:
        return Section(HEADING_STORE, ["Nothing is forecast."])
    totals = forecasts.groupby("store")["mean"].sum().sort_values(ascending=False)
    shown = sorted(totals.index[:MOST])
    width = _width(forecasts)
    sentences = [
        f"Choose any of {counted(len(shown), 'store')}"
        + (f" (those that will sell most, of {len(totals):,})" if len(totals) > len(shown) else "")
        + ": the line is the mean that is forecast, the darker band is made to hold 80 % of the days, the "
        "lighter 95 %.",
        f"The middle 80 % interval is {100 * width['80']:.0f} % of its forecast wide, the middle 95 % interval "
        f"{100 * width['95']:.0f} %."
        if width
        else "No store is open in the days to forecast.",
    ]
    data = _compact(forecasts, plans, past, earlier, explained, shown)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.stores", "analysis"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    widget = environment.get_template("store.html").render(data=data, colours=COLOURS, grey=GREY)
    return Section(HEADING_STORE, sentences, widget=widget)


def earlier_section(earlier: pd.DataFrame) -> Section:
    """What was forecast last and what came: of the chain by day, and errors of the stores."""
    scored = earlier[earlier["sales"].notna()] if len(earlier) else earlier
    if scored.empty:
        return Section(HEADING_EARLIER, ["No earlier forecast's days have come yet."])
    made_on, sold = pd.Timestamp(scored["made_on"].min()), scored[scored["sales"] > 0]
    by_day = scored.groupby("day")[["mean", "sales"]].sum()
    ratio = by_day["mean"].sum() / by_day["sales"].sum() - 1 if by_day["sales"].sum() else np.nan
    sentences = [
        f"On {long_date(made_on)}, {by_day['mean'].sum():,.0f} was forecast for the {counted(len(by_day), 'day')} from "
        f"{long_date(by_day.index[0])} to {long_date(by_day.index[-1])}; {by_day['sales'].sum():,.0f} came"
        + (f", so the forecast was {above_or_below(100 * ratio)} it." if np.isfinite(ratio) else ".")
    ]
    cells: list[tuple[str, ...]] = []
    figure = stacked_figure(["all stores by day", "stores by how far off their days were (RMSPE)"])
    if len(sold):
        actual, mean = sold["sales"].to_numpy(float), sold["mean"].to_numpy(float)
        found = error_metrics(actual, mean)
        covered = {
            level: float(((sold["sales"] >= sold[f"low_{level}"]) & (sold["sales"] <= sold[f"high_{level}"])).mean())
            for level in ("80", "95")
        }
        off = (mean / actual - 1) ** 2
        stores = pd.Series(off, sold["store"].to_numpy()).groupby(level=0).mean() ** 0.5
        sentences.append(
            f"A store's day was off by {100 * found['mape']:.1f} % on average (RMSPE {found['rmspe']:.4f}); "
            f"{100 * covered['80']:.1f} % of {counted(len(sold), 'day')} lay within the 80 % interval, "
            f"{100 * covered['95']:.1f} % within the 95 % interval."
        )
        sentences.append(
            f"Furthest off was store {largest(stores)} (RMSPE {stores.max():.3f}), closest store {smallest(stores)} "
            f"({stores.min():.3f})."
        )
        cells = [
            ("RMSPE", f"{found['rmspe']:.4f}"),
            ("RMSE", f"{found['rmse']:,.1f}"),
            ("MAE", f"{found['mae']:,.1f}"),
            ("MAPE", f"{100 * found['mape']:.2f} %"),
            ("R²", f"{found['r2']:.4f}" if np.isfinite(found["r2"]) else "–"),
            ("bias", signed_percent(100 * found["bias"], 2)),
            *((f"within the {level} % interval", f"{100 * value:.1f} %") for level, value in covered.items()),
        ]
        figure.add_histogram(
            x=stores.round(4), marker_color=COLOURS[0], showlegend=False, xbins={"size": 0.01}, row=2, col=1
        )
    else:
        sentences.append("No store sold anything on those days.")
    for name, column, colour, dash in (("forecast", "mean", COLOURS[0], "dash"), ("came", "sales", GREY, "solid")):
        figure.add_scatter(
            name=name,
            x=by_day.index,
            y=by_day[column].round(),
            mode="lines",
            line={"color": colour, "dash": dash},
            row=1,
            col=1,
        )
    figure.update_yaxes(title="sales of all stores", row=1, col=1)
    figure.update_yaxes(title="stores", row=2, col=1)
    return Section(
        HEADING_EARLIER,
        sentences,
        Table(("error of a store's day", "value"), cells, frozenset({1})) if cells else None,
        figure_json(figure, heights=2),
    )


def _against_last_year(forecasts: pd.DataFrame, past: History) -> str:
    wide = forecasts.pivot(index="store", columns="day", values="mean")
    ago = past.year_ago.reindex(wide.index).reindex(columns=wide.columns)
    both = wide.notna() & ago.notna()
    before, now = float(ago[both].sum().sum()), float(wide[both].sum().sum())
    if before <= 0:
        return "There is nothing 52 weeks earlier to hold it against."
    lacking = int((wide.notna() & ago.isna()).any(axis=1).sum())
    return (
        f"That is {more_or_less(100 * (now / before - 1))} than on the same weekdays 52 weeks earlier, for the store "
        "days "
        "known from "
        "both"
        + (
            f"; of {counted(lacking, 'store')} some of those days are unknown, and the dotted line lacks them."
            if lacking
            else "."
        )
    )


def _width(forecasts: pd.DataFrame) -> dict[str, float]:
    sold = forecasts[forecasts["mean"] > 0]
    return {
        level: float(((sold[f"high_{level}"] - sold[f"low_{level}"]) / sold["mean"]).median())
        for level in ("80", "95")
        if len(sold)
    }


def _compact(
    forecasts: pd.DataFrame,
    plans: pd.DataFrame,
    past: History,
    earlier: pd.DataFrame,
    explained: pd.DataFrame,
    stores: list[int],
) -> dict[str, Any]:
    """What the page's script needs, by store in lists of numbers: null is unknown, 0 closed."""
    days = pd.DatetimeIndex(sorted(forecasts["day"].unique()))
    recent = pd.DatetimeIndex(past.recent.columns)

    def wide(frame: pd.DataFrame, column: str, over: pd.DatetimeIndex) -> list[list[float | None]]:
        values = frame.pivot(index="store", columns="day", values=column) if len(frame) else pd.DataFrame()
        return _numbers(values.reindex(index=stores, columns=over).to_numpy(float))

    promoted = plans.pivot(index="store", columns="day", values="promo").reindex(index=stores, columns=days).eq(True)
    before = past.promoted.reindex(index=stores).eq(True)
    signs = np.concatenate([before.to_numpy(), promoted.to_numpy()], axis=1)
    inside = earlier[earlier["day"].isin(recent)] if len(earlier) else earlier
    features = sorted(explained["feature"].unique()) if len(explained) else []
    return {
        "stores": [int(store) for store in stores],
        "recent": [f"{day:%Y-%m-%d}" for day in recent],
        "days": [f"{day:%Y-%m-%d}" for day in days],
        "sales": _numbers(past.recent.reindex(index=stores).to_numpy(float)),
        "ago": _numbers(past.year_ago.reindex(index=stores).to_numpy(float)),
        "mean": wide(forecasts, "mean", days),
        **{end: wide(forecasts, end, days) for end in ENDS},
        "earlier": wide(inside, "mean", recent) if len(inside) else None,
        "promo": ["".join("1" if sign else "0" for sign in row) for row in signs],
        "features": [feature.replace("_", " ") for feature in features],
        "why": _why(explained, stores, features),
    }


def _why(explained: pd.DataFrame, stores: list[int], features: list[str]) -> list[list[Any]] | None:
    """By store: [day, linear, forecast, [[feature, per cent of linear], ...]] of each explained day."""
    if explained.empty:
        return None
    place = {feature: k for k, feature in enumerate(features)}
    by_store: dict[int, list[Any]] = {store: [] for store in stores}
    for (store, day), some in explained.groupby(["store", "day"]):
        if store in by_store:
            first = some.iloc[0]
            parts = zip(some["feature"], some["contribution"], strict=True)
            by_store[store].append(
                [
                    f"{day:%Y-%m-%d}",
                    _short(first["linear"]),
                    _short(first["forecast"]),
                    [[place[feature], round(100 * float(value), 2)] for feature, value in parts],
                ]
            )
    return [by_store[store] for store in stores]


def _numbers(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [[_short(value) for value in row] for row in values.tolist()]


def _short(value: float) -> float | None:
    """Five digits, whole where they make a whole number, so that a page of a thousand stores stays small."""
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def _plain(values: pd.Series) -> list[float | None]:
    return [round(float(value), 2) if np.isfinite(value) else None for value in values]
