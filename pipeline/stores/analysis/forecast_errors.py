"""The last completed forecast, compared with the sales of its days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.reports.charts import COLOURS, GREY, figure_json, stacked_figure
from pipeline.reports.labels import METRICS
from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import (
    above_or_below,
    amount,
    counted,
    long_date,
    percent,
    with_unit,
)
from pipeline.stores.analysis.base import largest, smallest
from pipeline.stores.backtest import error_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADING_ERRORS = "The last completed forecast and actual sales"
LEVELS = ("80", "95")
"""Per cent of the days that the intervals are made to cover."""


def errors_section(earlier: pd.DataFrame) -> Section:
    """Show forecast and actual sales of the chain by day, and the errors of the stores.

    Args:
        earlier: store, day, mean, ends of the intervals, as_of and sales (actual) of an earlier forecast; may be
            empty.
    """
    known = earlier[earlier["sales"].notna()] if len(earlier) else earlier
    if known.empty:
        return Section(HEADING_ERRORS, ["There are no sales yet for the days of an earlier forecast."])
    sold = known[known["sales"] > 0]
    by_day = known.groupby("day")[["mean", "sales"]].sum()
    sentences = [_total_sentence(by_day, pd.Timestamp(known["as_of"].min()))]
    figure = stacked_figure(["sales of these stores by day", "stores by the typical error of their days"])
    cells: list[tuple[str, ...]] = []
    if len(sold):
        metrics = error_metrics(sold["sales"].to_numpy(float), sold["mean"].to_numpy(float))
        coverage = {
            level: float(sold["sales"].between(sold[f"low_{level}"], sold[f"high_{level}"]).mean()) for level in LEVELS
        }
        by_store = (sold["mean"] / sold["sales"] - 1).pow(2).groupby(sold["store"]).mean().pow(0.5)
        sentences += [
            f"The mean absolute error of a store's day was {percent(metrics['mape'])} of its sales "
            f"(with large errors counting more, {percent(metrics['rmspe'])}). Of "
            f"{counted(len(sold), 'open store day')}, {percent(coverage['80'])} lay within the 80 % interval and "
            f"{percent(coverage['95'])} within the 95 % interval.",
            f"The largest typical error (RMSPE) was that of store {largest(by_store)} ({percent(by_store.max())}), the "
            f"smallest that of store {smallest(by_store)} ({percent(by_store.min())}).",
        ]
        cells = _cells(metrics, coverage)
        figure.add_histogram(
            x=(100 * by_store).round(2), marker_color=COLOURS[0], showlegend=False, xbins={"size": 1}, row=2, col=1
        )
    else:
        sentences.append("No store sold anything on those days.")
    for name, column, colour, dash in (("forecast", "mean", COLOURS[0], "dash"), ("actual", "sales", GREY, "solid")):
        figure.add_scatter(
            name=name,
            x=by_day.index,
            y=by_day[column].round(),
            mode="lines",
            line={"color": colour, "dash": dash},
            row=1,
            col=1,
        )
    figure.update_yaxes(title=with_unit("sales per day"), row=1, col=1)
    figure.update_yaxes(title="stores", row=2, col=1)
    figure.update_xaxes(title="typical error of a day (RMSPE), %", row=2, col=1)
    return Section(
        HEADING_ERRORS,
        sentences,
        Table(("error of a store's day", "value", "what it measures"), cells, frozenset({1})) if cells else None,
        figure_json(figure, heights=2),
    )


def _total_sentence(by_day: pd.DataFrame, as_of: pd.Timestamp) -> str:
    forecast, actual = by_day["mean"].sum(), by_day["sales"].sum()
    difference = 100 * (forecast / actual - 1) if actual else np.nan
    return (
        f"The forecast made on {long_date(as_of)} for the {counted(len(by_day), 'day')} from "
        f"{long_date(by_day.index[0])} to {long_date(by_day.index[-1])} was {amount(forecast)} in total. Actual sales "
        f"were {amount(actual)}"
        + (f", so the forecast was {above_or_below(difference)} actual sales." if np.isfinite(difference) else ".")
    )


def _cells(metrics: Mapping[str, float], coverage: Mapping[str, float]) -> list[tuple[str, ...]]:
    return [
        *(_metric(name, metrics[name]) for name in ("rmspe", "rmse", "mae", "mape", "r2", "bias")),
        *(_metric(f"coverage_{level}", value) for level, value in coverage.items()),
    ]


def _metric(name: str, value: float) -> tuple[str, str, str]:
    metric = METRICS[name]
    return metric.text, amount(value) if name in ("rmse", "mae") else metric.value(value), metric.meaning
