"""Write the stores' page: the forecast, its past errors, and analyses of sales."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from pipeline.reports.page import Tile, write_page
from pipeline.reports.parts import write_part
from pipeline.reports.phrasing import (
    amount,
    count,
    counted,
    currency_sentence,
    percent_change,
    readable,
    signed_percent,
)
from pipeline.stores.analysis import (
    competition,
    correlations,
    evidence,
    forecast_errors,
    forecasts,
    holidays,
    openings,
    outliers,
    promotion_plans,
    promotions,
    seasonality,
    store_forecasts,
    store_types,
)
from pipeline.stores.analysis.base import daily_means, open_days, with_timestamps
from pipeline.stores.planned_sums import SCHEMA, all_sums, with_groups, write_csv_file
from pipeline.stores.sums import ENDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.lake.tables import Lake
    from pipeline.registry.records import ModelVersion
    from pipeline.reports.page import Section
    from pipeline.stores.sums import SumIntervals

SAMPLE_SEED = 7
"""Seed of the sample of days that are shown with the outliers."""


@dataclass(frozen=True)
class StoresReport:
    """What the page shows.

    Attributes:
        as_of: the day on which the forecast was made.
        version: the model version that made it.
        store_days: the clean table, with days before `as_of` only.
        stores: the clean table.
        plans: store, day, open, promo, state_holiday, school_holiday of the days from `as_of` on.
        forecasts: store, day, mean, low_80, high_80, low_95, high_95 of the planned days; closed days are 0.
        earlier: an earlier forecast with its as_of and the actual sales of its days; may be empty.
        evidence: what was stored with the version; parts may be missing.
        explained: `explain.explain_first_days` of the forecasts; may be empty.
        sums: what intervals of sums are computed from; None for a version of an earlier release.
        planned_until: the last day of the plan, which may reach beyond the forecast; None without a plan.
    """

    as_of: date
    version: ModelVersion
    store_days: ir.Table
    stores: ir.Table
    plans: ir.Table
    forecasts: pd.DataFrame
    earlier: pd.DataFrame
    evidence: Mapping[str, Any]
    explained: pd.DataFrame = field(default_factory=pd.DataFrame)
    sums: SumIntervals | None = None
    planned_until: date | None = None


def write_stores_report(lake: Lake, con: Backend, report: StoresReport) -> str:
    """Write the page and return its path below home.

    Args:
        lake: where the page is written.
        con: the engine of the report's tables.
        report: what the page shows.
    """
    forecast = with_timestamps(report.forecasts)
    days = open_days(con, report.store_days)
    sums = _sums_of_forecast(report, forecast)
    sums_file = write_csv_file(lake, report.as_of, sums) if len(sums) else None
    try:
        sections, tiles = _sections_and_tiles(lake, report, forecast, days, sums, sums_file)
    finally:
        con.drop_table(days.op().name)
    last = forecast["day"].max().date() if len(forecast) else None
    until = f" for the days until {last}" if last else ""
    if last and report.planned_until and report.planned_until > last:
        until += f" (the plan reaches to {report.planned_until}; later days are forecast when they are nearer)"
    return write_page(
        lake,
        f"stores/{report.as_of}",
        "Stores",
        f"This page shows the forecast made on {report.as_of}{until} and the sales before that day. The forecast is by "
        f"version {report.version.version} of {readable(report.version.name)}, trained as of "
        f"{report.version.provenance.as_of}. {currency_sentence()} “Usual sales” are the mean of the "
        "same store and weekday, with or without promotion as on the day (mean of logs, without holidays).",
        sections,
        tiles,
    )


def _sections_and_tiles(
    lake: Lake,
    report: StoresReport,
    forecast: pd.DataFrame,
    days: ir.Table,
    sums: pd.DataFrame,
    sums_file: str | None,
) -> tuple[list[Section], list[Tile]]:
    folder = f"{report.as_of}-stores"

    def write_stores(start: int, rows: dict[str, Any]) -> str:
        return f"{folder}/{write_part(lake, f'stores/{folder}', 'aisleStores', start, rows)}"

    planned = report.plans
    if len(forecast):
        planned = planned.filter(planned.day <= ibis.date(forecast["day"].max()))
    promotions_ahead = with_timestamps(planned.select("store", "day", "promo").to_pandas())
    earlier = with_timestamps(report.earlier) if len(report.earlier) else report.earlier
    explained = with_timestamps(report.explained) if len(report.explained) else report.explained
    daily = daily_means(days)
    stores = store_types.store_means(days, report.stores)
    uplift = promotions.measure_uplift(days)
    history = forecasts.read_history(report.store_days, report.as_of, forecast)
    plans = promotion_plans.compare_plans(report.store_days, planned, report.as_of)
    sections = [
        forecasts.chain_section(forecast, history, _named_sums(sums), sums_file),
        store_forecasts.store_section(
            forecast, promotions_ahead, history, earlier, explained, write_stores, sums[sums["kind"] == "store"]
        ),
        forecast_errors.errors_section(earlier),
        promotion_plans.plans_section(plans, report.as_of),
        promotions.uplift_section(uplift),
        promotions.stores_section(uplift, stores),
        holidays.holidays_section(holidays.holiday_effects(report.store_days, days)),
        holidays.seasons_section(holidays.seasons(daily)),
        openings.openings_section(openings.find_openings(report.store_days, days)),
        openings.weekends_section(openings.compare_weekends(report.store_days, days)),
        store_types.customers_section(stores),
        store_types.store_types_section(stores, uplift),
        competition.distance_section(stores, uplift),
        competition.opening_section(competition.opening_effect(days, report.stores)),
        correlations.correlations_section(correlations.correlations(days, report.stores)),
        seasonality.seasonality_section(seasonality.measure_seasonality(days, daily)),
        seasonality.autocorrelation_section(seasonality.measure_autocorrelation(daily)),
        outliers.outliers_section(outliers.summarise_outliers(report.store_days, report.as_of, seed=SAMPLE_SEED)),
        evidence.importance_section(report.evidence),
        evidence.partial_section(report.evidence, report.version.provenance.features),
        evidence.backtest_section(report.evidence),
        evidence.slices_section(report.evidence),
    ]
    return sections, _tiles(forecast, stores, daily, uplift, sums)


def _sums_of_forecast(report: StoresReport, forecast: pd.DataFrame) -> pd.DataFrame:
    """Return `planned_sums.all_sums` of the forecast; empty if nothing is open or the version is too old."""
    sold = forecast[forecast["mean"] > 0]
    if report.sums is None or sold.empty:
        return pd.DataFrame(columns=SCHEMA.names)
    return all_sums(with_groups(sold, report.stores, report.as_of), report.sums)


def _named_sums(sums: pd.DataFrame) -> pd.DataFrame:
    """Return what, sum and the ends of the intervals of the chain and of each state and store type."""
    parts = [sums[sums["kind"] == "chain"].assign(what="chain")]
    for kind in ("state", "store_type"):
        of_kind = sums[sums["kind"] == kind]
        parts.append(of_kind.assign(what=kind.replace("_", " ") + " " + of_kind[kind].astype(str)))
    return pd.concat(parts, ignore_index=True)[["what", "sum", *ENDS]]


def _tiles(
    forecast: pd.DataFrame, stores: pd.DataFrame, daily: pd.DataFrame, uplift: promotions.Uplift, sums: pd.DataFrame
) -> list[Tile]:
    chain = sums[sums["kind"] == "chain"]
    interval = "".join(
        f"; in 80 of 100 cases {amount(low)} to {amount(high)}"
        for low, high in zip(chain["low_80"], chain["high_80"], strict=True)
    )
    open_store_days, effect = daily["stores"].sum(), uplift.overall["sales"]
    planned = f"{counted(forecast['store'].nunique(), 'planned store')}, {counted(forecast['day'].nunique(), 'day')}"
    return [
        Tile("known stores", count(len(stores))),
        Tile("open store days", count(open_store_days)),
        Tile("sales of an open day", amount(daily["sales"].sum() / open_store_days) if open_store_days else "–"),
        Tile("effect of a promotion", signed_percent(percent_change(effect)) if np.isfinite(effect) else "–"),
        Tile(f"forecast for {planned}{interval}", amount(forecast["mean"].sum())),
    ]
