"""The stores' page: what drives sales, what is forecast, and how good forecasts have been."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd

from pipeline.reports.page import Tile, write_page
from pipeline.reports.phrasing import count, percent_change, signed_percent
from pipeline.stores.analysis import (
    competition,
    correlations,
    evidence,
    forecasts,
    holidays,
    openings,
    outliers,
    promotions,
    seasonality,
    store_types,
)
from pipeline.stores.analysis.base import by_day, dates, open_days

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.lake.tables import Lake
    from pipeline.registry.records import ModelVersion
    from pipeline.reports.page import Section

SAMPLE_SEED = 7
"""Of the days that are drawn beside outliers."""


@dataclass(frozen=True)
class StoresReport:
    """What the page shows.

    Attributes:
        store_days, stores: the clean tables, only days before `as_of`.
        plans: store, day, open, promo, state_holiday, school_holiday, from `as_of` on.
        forecasts: of `as_of`: store, day, mean, low_80, high_80, low_95, high_95; closed days are 0.
        earlier: the last earlier forecast whose days have come, with their sales and made_on; may be empty.
        evidence: what was stored with the version; parts may be missing.
        explained: `explain.first_days` of the forecasts; may be empty.
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


def write_stores_report(lake: Lake, con: Backend, report: StoresReport) -> str:
    """Write the page and return its path below home.

    Args:
        con: the engine of the tables.
    """
    said = dates(report.forecasts)
    days = open_days(con, report.store_days)
    try:
        sections, tiles = _sections_and_tiles(report, said, days)
    finally:
        con.drop_table(days.op().name)
    until = f" to {said['day'].max():%Y-%m-%d}" if len(said) else ""
    return write_page(
        lake,
        f"stores/{report.as_of}",
        "Stores",
        f"Days before {report.as_of}, and the forecast made on it{until}. Version {report.version.version} of "
        f"{report.version.name}, trained as of {report.version.provenance.as_of}. “Usual” is the same store's mean on "
        "that "
        "weekday, with or without promotion as on the day (logs, holidays left aside).",
        sections,
        tiles,
    )


def _sections_and_tiles(report: StoresReport, said: pd.DataFrame, days: ir.Table) -> tuple[list[Section], list[Tile]]:
    ahead = report.plans.filter(report.plans.day <= ibis.date(said["day"].max())) if len(said) else report.plans
    plan = dates(ahead.select("store", "day", "promo").to_pandas())
    earlier = dates(report.earlier) if len(report.earlier) else report.earlier
    explained = dates(report.explained) if len(report.explained) else report.explained
    daily = by_day(days)
    stores = store_types.by_store(days, report.stores)
    uplift = promotions.uplift(days)
    past = forecasts.history(report.store_days, report.as_of, pd.DatetimeIndex(sorted(said["day"].unique())))
    sections = [
        forecasts.chain_section(said, past),
        forecasts.store_section(said, plan, past, earlier, explained),
        forecasts.earlier_section(earlier),
        promotions.plans_section(promotions.plans(report.store_days, ahead, report.as_of), report.as_of),
        promotions.uplift_section(uplift),
        promotions.stores_section(uplift, stores),
        holidays.holidays_section(holidays.holidays(report.store_days, days)),
        holidays.seasons_section(holidays.seasons(daily)),
        openings.openings_section(openings.openings(report.store_days, days)),
        openings.weekends_section(openings.weekends(report.store_days, days)),
        store_types.customers_section(stores),
        store_types.kinds_section(stores, uplift),
        competition.distance_section(stores, uplift),
        competition.opened_section(competition.opened(days, report.stores)),
        correlations.correlations_section(correlations.correlations(days, report.stores)),
        seasonality.seasonality_section(seasonality.seasonality(days, daily)),
        seasonality.memory_section(seasonality.memory(daily)),
        outliers.marked_section(outliers.marked(report.store_days, report.as_of, seed=SAMPLE_SEED)),
        evidence.importance_section(report.evidence),
        evidence.partial_section(report.evidence, report.version.provenance.features),
        evidence.backtest_section(report.evidence),
        evidence.slices_section(report.evidence),
    ]
    return sections, _tiles(said, stores, daily, uplift)


def _tiles(said: pd.DataFrame, stores: pd.DataFrame, daily: pd.DataFrame, uplift: promotions.Uplift) -> list[Tile]:
    sold, rise = daily["stores"].sum(), uplift.overall["sales"]
    return [
        Tile("stores", count(len(stores))),
        Tile("open store days", count(sold)),
        Tile("sales of an open day", count(daily["sales"].sum() / sold) if sold else "–"),
        Tile("sales with promotion", signed_percent(percent_change(rise)) if np.isfinite(rise) else "–"),
        Tile(f"forecast for {said['day'].nunique()} days", count(said["mean"].sum())),
    ]
