"""What the customers page of a scored day holds beyond the segments: read here, phrased in the modules `report_*`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from pipeline.customers.cohorts import retention
from pipeline.customers.customer_lists import lists_section
from pipeline.customers.customer_search import search_section
from pipeline.customers.domain import (
    CUSTOMER_VALUE,
    DOMAIN,
    MOVEMENTS_TABLE,
    PROGRAMME_TABLE,
    RECOMMENDATIONS,
    RECOMMENDATIONS_TABLE,
    VALUE_TABLE,
)
from pipeline.customers.insiders import Review, reviews
from pipeline.customers.insiders_compared import Difference, difference, difference_after
from pipeline.customers.kept import read_day
from pipeline.customers.product_names import read_product_names
from pipeline.customers.programme import review_of
from pipeline.customers.purchase_kinds import purchases_by_kind
from pipeline.customers.regions import revenue_by_place
from pipeline.customers.report_insiders import Insiders, insiders_sections, write_list
from pipeline.customers.report_models import recommendation_sections, value_sections
from pipeline.customers.report_movements import movement_sections
from pipeline.customers.report_purchases import cohort_section, kind_sections, region_sections
from pipeline.customers.report_segments import segment_sections
from pipeline.customers.window_sums import WindowSums, first_day
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.registry.client import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from ibis.backends.duckdb import Backend

    from pipeline.reports.page import Section
    from pipeline.settings import Settings

EVALUATION_FILE = "evaluation.json"
EXPECTED = {
    "revenue": "expected_revenue",
    "revenue_low": "expected_revenue_low",
    "revenue_high": "expected_revenue_high",
    "purchase_chance": "purchase_chance",
    "alive": "alive",
}
"""Columns of `customer_value` that the page shows of a customer -> their names among the features."""


def further_sections(
    settings: Settings, con: Backend, sums: WindowSums, as_of: dt.date, order: list[str]
) -> list[Section]:
    """The sections of a scored day; what a model has not filled gives none. Also writes the files beside the page.

    Args:
        settings: the settings.
        con: the engine.
        sums: of the day's window.
        as_of: the day.
        order: the names of the segments as the page orders them.
    """
    lake, window_days = Lake(settings), settings.window_days
    # Which month was a customer's first can only be seen in all of history; names are those of lately sold products.
    history = engine.table(con, lake, DOMAIN.input_table, until=as_of)
    names = read_product_names(
        con, engine.table(con, lake, DOMAIN.input_table, since=first_day(as_of, window_days), until=as_of)
    )
    value, lists = read_day(lake, VALUE_TABLE, as_of), read_day(lake, RECOMMENDATIONS_TABLE, as_of)
    customers = read_customers(lake, as_of, value)
    kept = review_of(read_day(lake, PROGRAMME_TABLE, as_of))
    insiders = read_insiders(con, sums, customers, as_of, window_days, kept)
    if insiders is not None:
        customers = customers.assign(member=insiders.member)
    sections = [
        search_section(lake, as_of, customers, _own_lists(lists), names),
        lists_section(lake, as_of, customers, order),
        *segment_sections(customers, order),
    ]
    movements = read_day(lake, MOVEMENTS_TABLE, as_of)
    if movements is not None:
        sections += movement_sections(movements.to_pandas())
    if insiders is not None:
        sections += insiders_sections(insiders, write_list(lake, insiders))
    sections += region_sections(revenue_by_place(con, sums, as_of), names)
    invoices = purchases_by_kind(con, sums)
    if invoices is not None:
        sections += kind_sections(invoices)
    sections += cohort_section(retention(con, history, as_of))
    registry = Registry(settings)
    if value is not None and value.num_rows:
        rows = value.to_pandas().merge(customers[["customer_id", "segment_name"]], on="customer_id")
        sections += value_sections(rows, _evaluation(registry, CUSTOMER_VALUE, value))
    if lists is not None and lists.num_rows:
        evaluation = _evaluation(registry, RECOMMENDATIONS, lists)
        sections += recommendation_sections(lists.to_pandas(), evaluation, names)
    return sections


def read_customers(lake: Lake, as_of: dt.date, value: pa.Table | None) -> pd.DataFrame:
    """One row per customer by `customer_id`: features, segment_name, and what is expected of them where it is known."""
    day = {"as_of": [as_of]}
    features = lake.read(DOMAIN.features_table, where=day).to_pandas()
    segments = lake.read(DOMAIN.results_table, where=day).select(["customer_id", "segment_name"]).to_pandas()
    found: pd.DataFrame = features.merge(segments, on="customer_id")
    if value is not None:
        expected = value.select(["customer_id", *EXPECTED]).to_pandas().rename(columns=EXPECTED)
        found = found.merge(expected, on="customer_id", how="left")
    return found.sort_values("customer_id", ignore_index=True)


def read_insiders(
    con: Backend,
    sums: WindowSums,
    customers: pd.DataFrame,
    as_of: dt.date,
    window_days: int,
    kept: Review | None = None,
) -> Insiders | None:
    """Review the loyalty programme; None while too few customers are known.

    Who is a member is what the night kept, as the prediction service answers it; the reviews before are made again.
    Days that were scored by an earlier release have nothing that was kept.
    """
    found = reviews(con, sums.by_invoice, as_of, window_days)
    if kept is not None:
        found = [*(review for review in found if review.day < kept.day), kept]
    if not found:
        return None
    member = np.isin(customers["customer_id"], list(found[-1].members))
    revenue = customers["revenue"].to_numpy(dtype=np.float64)
    within: Difference | None = None
    if min(member.sum(), (~member).sum()) > 1:
        since = as_of - dt.timedelta(days=window_days)
        within = difference(revenue[member], revenue[~member], since, as_of)
    after = difference_after(con, sums.by_invoice, found, as_of)
    return Insiders(as_of, found, customers, within, after)


def _own_lists(lists: pa.Table | None) -> dict[str, pd.Series]:
    """The lists of customers that the search shows: name -> customer -> products."""
    if lists is None:
        return {}
    own = {name: lists.filter(pc.equal(lists["list"], name)) for name in ("buy again", "new to you")}
    return {name: rows.to_pandas().set_index("subject")["products"] for name, rows in own.items()}


def _evaluation(registry: Registry, model: str, rows: pa.Table) -> Mapping[str, Any]:
    """How the version was evaluated that made the rows."""
    found: Mapping[str, Any] = registry.artefacts(model, int(rows["model_version"][0].as_py()))[EVALUATION_FILE]
    return found
