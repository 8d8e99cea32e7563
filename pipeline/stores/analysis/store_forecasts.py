"""The forecast of any one store, with its history, intervals, promotions and explanation: an interactive chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
import pandas as pd

from pipeline.reports.charts import COLOURS, GREY, wrapped
from pipeline.reports.labels import label_of
from pipeline.reports.page import Section
from pipeline.reports.phrasing import count, counted, number_format, percent, with_unit
from pipeline.stores.labels import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.stores.analysis.forecasts import SalesHistory

    WritePart = Callable[[int, dict[str, Any]], str]
    """Writes the data of some stores, from a position on, and returns the address of the script, from the page on."""

INTERVAL_ENDS = ("low_80", "high_80", "low_95", "high_95")
BY_STORE = ("sales", "ago", "mean", *INTERVAL_ENDS, "earlier", "promo", "why", "total")
"""What the page's script has by store."""
PART_STORES = 60
"""Stores whose data the page holds itself; those of others are loaded when one of them is chosen, as many at once."""
MAX_STORES = 3000
"""Stores that the page can show; if there are more, those with the largest forecasts are shown."""
SIGNIFICANT_DIGITS = 5
HEADING_STORE = "The forecast of one store"


def store_section(
    forecasts: pd.DataFrame,
    plans: pd.DataFrame,
    history: SalesHistory,
    earlier: pd.DataFrame,
    explained: pd.DataFrame,
    write: WritePart | None = None,
    totals: pd.DataFrame | None = None,
) -> Section:
    """Show one chosen store: sales, forecast with intervals, last year, earlier forecast, promotions and explanation.

    Args:
        forecasts: store, day, mean and `INTERVAL_ENDS`.
        plans: store, day, promo of the days to forecast.
        history: past sales of the stores.
        earlier: store, day and mean of an earlier forecast; may be empty.
        explained: store, day, linear, forecast, feature, contribution (as a ratio to linear); may be empty.
        write: writes data of further stores beside the page; without it, the page holds those of all stores.
        totals: store, low_80 and high_80 of the sum of its forecast; none for a version of an earlier release.
    """
    if forecasts.empty:
        return Section(HEADING_STORE, ["There is no forecast: no store day is planned."])
    largest = forecasts.groupby("store")["mean"].sum().sort_values(ascending=False)
    shown = sorted(largest.index[:MAX_STORES])
    widths = _relative_widths(forecasts)
    sentences = [
        f"Choose one of {counted(len(shown), 'store')}"
        + (f", those with the largest forecasts of {count(len(largest))}" if len(largest) > len(shown) else "")
        + ". The line is the mean forecast; the darker band should contain 80 % of the days, the lighter band 95 %.",
        f"The median width of the 80 % interval is {percent(widths['80'], 0)} of the forecast, that of the 95 % "
        f"interval {percent(widths['95'], 0)}."
        if widths
        else "No store is open on the days to forecast.",
    ]
    data = _script_data(forecasts, plans, history, earlier, explained, shown)
    if totals is not None and len(totals):
        ends = totals.set_index("store")[["low_80", "high_80"]].reindex(shown)
        data["total"] = _to_numbers(ends.to_numpy(float))
    data |= number_format() | {"axis": with_unit("sales per day")}
    data["parts"] = _split(data, write) if write else []
    data["part_size"] = PART_STORES
    data |= {"unplanned": history.unplanned, "omitted": sorted(int(store) for store in largest.index[MAX_STORES:])}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.stores", "analysis"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    widget = environment.get_template("store.html").render(data=data, colours=COLOURS, grey=GREY)
    return Section(HEADING_STORE, sentences, widget=widget)


def _split(data: dict[str, Any], write: WritePart) -> list[str]:
    """Take all but the first stores out of the data, and return the addresses of the parts that hold them."""
    names = [name for name in BY_STORE if data[name] is not None]
    starts = range(PART_STORES, len(data["stores"]), PART_STORES)
    parts = [write(start, {name: data[name][start : start + PART_STORES] for name in names}) for start in starts]
    data |= {name: data[name][:PART_STORES] for name in names}
    return parts


def _relative_widths(forecasts: pd.DataFrame) -> dict[str, float]:
    """Return the median width of each interval as a fraction of the forecast, over open days; empty without any."""
    is_open = forecasts[forecasts["mean"] > 0]
    return {
        level: float(((is_open[f"high_{level}"] - is_open[f"low_{level}"]) / is_open["mean"]).median())
        for level in ("80", "95")
        if len(is_open)
    }


def _script_data(
    forecasts: pd.DataFrame,
    plans: pd.DataFrame,
    history: SalesHistory,
    earlier: pd.DataFrame,
    explained: pd.DataFrame,
    stores: list[int],
) -> dict[str, Any]:
    """Return the data of the page's script, by store in lists of numbers: null is unknown, 0 closed."""
    days = pd.DatetimeIndex(sorted(forecasts["day"].unique()))
    recent = pd.DatetimeIndex(history.recent.columns)

    def wide(frame: pd.DataFrame, column: str, over: pd.DatetimeIndex) -> list[list[float | None]]:
        values = frame.pivot(index="store", columns="day", values=column) if len(frame) else pd.DataFrame()
        return _to_numbers(values.reindex(index=stores, columns=over).to_numpy(float))

    planned = plans.pivot(index="store", columns="day", values="promo").reindex(index=stores, columns=days).eq(True)
    past = history.promoted.reindex(index=stores).eq(True)
    promoted = np.concatenate([past.to_numpy(), planned.to_numpy()], axis=1)
    inside = earlier[earlier["day"].isin(recent)] if len(earlier) else earlier
    features = sorted(explained["feature"].unique()) if len(explained) else []
    return {
        "stores": [int(store) for store in stores],
        "recent": [f"{day:%Y-%m-%d}" for day in recent],
        "days": [f"{day:%Y-%m-%d}" for day in days],
        "sales": _to_numbers(history.recent.reindex(index=stores).to_numpy(float)),
        "ago": _to_numbers(history.year_ago.reindex(index=stores).to_numpy(float)),
        "mean": wide(forecasts, "mean", days),
        **{end: wide(forecasts, end, days) for end in INTERVAL_ENDS},
        "earlier": wide(inside, "mean", recent) if len(inside) else None,
        "promo": ["".join("1" if flag else "0" for flag in row) for row in promoted],
        "features": [wrapped(label_of(LABELS, feature).text) for feature in features],
        "why": _explanations(explained, stores, features),
        "total": None,
    }


def _explanations(explained: pd.DataFrame, stores: list[int], features: list[str]) -> list[list[Any]] | None:
    """Return by store: [day, linear, forecast, [[index of the feature, per cent of linear], ...]] of each day."""
    if explained.empty:
        return None
    index = {feature: k for k, feature in enumerate(features)}
    by_store: dict[int, list[Any]] = {store: [] for store in stores}
    for (store, day), rows in explained.groupby(["store", "day"]):
        if store in by_store:
            first = rows.iloc[0]
            contributions = zip(rows["feature"], rows["contribution"], strict=True)
            by_store[store].append(
                [
                    f"{day:%Y-%m-%d}",
                    _rounded(first["linear"]),
                    _rounded(first["forecast"]),
                    [[index[feature], round(100 * float(value), 2)] for feature, value in contributions],
                ]
            )
    return [by_store[store] for store in stores]


def _to_numbers(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [[_rounded(value) for value in row] for row in values.tolist()]


def _rounded(value: float) -> float | None:
    """Round to `SIGNIFICANT_DIGITS`, to an integer where possible, so that a page of a thousand stores stays small."""
    if not np.isfinite(value):
        return None
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded
