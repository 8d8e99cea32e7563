"""The shoppers page: who the shoppers are, how they respond to prices, and how accurate the models are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pipeline.lake.tables import Lake
from pipeline.reports.labels import metric_of
from pipeline.reports.page import Section, Table, Tile, write_page
from pipeline.reports.phrasing import count, currency_sentence, percent, readable
from pipeline.shoppers import brand_choice, purchase_probability, purchase_quantity
from pipeline.shoppers.brand_choice import elasticities, purchases
from pipeline.shoppers.next_week import next_week_interval, week_ratios
from pipeline.shoppers.purchase_probability import curves, curves_by
from pipeline.shoppers.sections.choice import by_segment_sections, choice_section
from pipeline.shoppers.sections.phrasing import price_text
from pipeline.shoppers.sections.price_changes import totals_section, what_if_section
from pipeline.shoppers.sections.probability import by_segment_section, probability_section
from pipeline.shoppers.sections.segments import number_section, segments_section
from pipeline.shoppers.what_if import Models

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.registry.records import ModelVersion


@dataclass(frozen=True)
class ShoppersReport:
    """The content of the page.

    Attributes:
        as_of: only earlier visits are shown.
        versions: the champions of the three visit models, by name.
        models: the same three, loaded.
        visits: the features of all visits before the day, see `wide_frame.frame`.
        shoppers: the features of every person's next visit.
        scores: the champions' predictions for these visits.
        segments: the record stored with the champion of `people_segments`; None without one.
        seed: of the bootstrap.
    """

    as_of: date
    versions: Mapping[str, ModelVersion]
    models: Models
    visits: pd.DataFrame
    shoppers: pd.DataFrame
    scores: pd.DataFrame
    segments: Mapping[str, Any] | None
    seed: int


def write_shoppers_report(lake: Lake, report: ShoppersReport) -> str:
    """Write the page and return its path below home."""
    models, scores = report.models, report.scores
    segment_of = {
        str(person): str(segment)
        for person, segment in zip(scores["person"], scores["segment"], strict=True)
        if isinstance(segment, str)
    }
    bought = purchases(report.visits)
    choices = elasticities(models.choice, bought)
    price_only, not_promoted, promoted = curves(report.visits, seed=report.seed)
    by_segment = curves_by(report.visits, segment_of, seed=report.seed)
    sections = [
        *([segments_section(report.segments), number_section(report.segments)] if report.segments else []),
        probability_section(price_only, not_promoted, promoted),
        *([by_segment_section(price_only, by_segment)] if by_segment else []),
        choice_section(choices),
        *by_segment_sections(models.choice, bought, segment_of),
        totals_section(models, report.shoppers),
        what_if_section(models, report.shoppers, choices),
        _accuracy_section(report.versions),
    ]
    expected_purchases = (scores["weekly_visits"] * scores["purchase_probability"]).sum()
    tiles = [
        Tile("people", count(len(scores))),
        Tile("visits per week", count(scores["weekly_visits"].sum())),
        _expected_tile("purchases", expected_purchases, report, "bought"),
        _expected_tile("units", scores["weekly_units"].sum(), report, "quantity"),
        Tile("demand is elastic from a mean price of", price_text(price_only.crossing)),
    ]
    versions = ", ".join(f"{readable(name)} {version.version}" for name, version in report.versions.items())
    return write_page(
        lake,
        f"shoppers/{report.as_of}",
        "Shoppers",
        f"As of {report.as_of}: {count(len(report.visits))} visits of {count(report.visits['person'].nunique())} "
        f"people. Versions of the models: {versions}. {currency_sentence()}",
        sections,
        tiles,
    )


def _expected_tile(what: str, expected: float, report: ShoppersReport, column: str) -> Tile:
    """What is expected of the next week, with the interval by how far earlier weeks were from those before them."""
    interval = next_week_interval(expected, week_ratios(report.visits, report.as_of, column))
    ends = f"; in 80 of 100 weeks {count(interval[0])} to {count(interval[1])}" if interval else ""
    return Tile(f"{what} expected next week{ends}", count(expected))


def _accuracy_section(versions: Mapping[str, ModelVersion]) -> Section:
    probability, choice, quantity = (
        versions[module.MODEL].metrics for module in (purchase_probability, brand_choice, purchase_quantity)
    )
    return Section(
        "How accurate the models are on unseen days",
        [
            "Of a visit that ends in a purchase and one that does not, the first has the higher predicted probability "
            f"in {percent(probability.get('auc'))} of the pairs (AUC). The brand is predicted correctly for "
            f"{percent(choice.get('accuracy'))} of the purchases; the person's last brand is right for "
            f"{percent(choice.get('same_brand_accuracy'))}. The model of quantities explains "
            f"{percent(quantity.get('r2'))} of the variance of units."
        ],
        Table(
            ("model", "figure", "value", "what it measures"),
            [
                (readable(name), metric_of(metric).text, metric_of(metric).value(value), metric_of(metric).meaning)
                for name, version in versions.items()
                for metric, value in version.metrics.items()
            ],
            frozenset({2}),
        ),
    )
