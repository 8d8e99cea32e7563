"""Sections on what price changes do to units and revenue, by all three models together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.reports.page import Section, Table
from pipeline.reports.phrasing import amount, count, decimal, percent, signed, signed_percent
from pipeline.shoppers.brand_choice import Elasticities
from pipeline.shoppers.sections.phrasing import CREDIBLE, NOT_CREDIBLE, PARTLY_NOT_CREDIBLE, interval_text
from pipeline.shoppers.what_if import Models, WhatIf, total_elasticities, what_if

if TYPE_CHECKING:
    import pandas as pd


def totals_section(models: Models, shoppers: pd.DataFrame) -> Section:
    """Show the total price elasticity of each brand's units, and its three parts."""
    quantity = models.quantity.elasticity()
    return Section(
        "How units of a brand change if its price rises by one per cent",
        [
            f"Those who buy take {decimal(abs(quantity.value), 2)} % {'fewer' if quantity.value < 0 else 'more'} units "
            f"if the price rises by one per cent (95 % interval {interval_text(quantity)} %). The total is the sum of "
            "three effects: fewer visits end in a purchase, fewer purchases go to the brand, and fewer units are "
            "bought at a time."
        ],
        Table(
            ("brand", "purchase, %", "choice, %", "quantity, %", "total, %", "95 % interval, %", "verdict"),
            [
                (
                    e.brand,
                    *(signed(part.value) for part in (e.probability, e.choice, e.quantity, e.total)),
                    interval_text(e.total),
                    NOT_CREDIBLE if e.wrong else CREDIBLE,
                )
                for e in total_elasticities(models, shoppers)
            ],
            frozenset(range(1, 6)),
            {NOT_CREDIBLE: "bad"},
        ),
    )


def what_if_section(models: Models, shoppers: pd.DataFrame, choices: Elasticities) -> Section:
    """Show a week at changed prices: of all brands, and of one brand at a time."""
    changes = what_if(models, shoppers)
    for brand in choices.brands:
        changes += what_if(models, shoppers, brand=brand)
    return Section(
        "What if prices changed",
        [
            f"The table shows a week with {count(changes[0].visits)} visits, which is the mean of the last four weeks, "
            f"at other prices. {best_change_sentence(changes, choices)}",
            "Revenue is not profit: the cost of the goods is not known here. The prices of competitors and the stocks "
            "are assumed to stay as they are.",
        ],
        Table(
            (
                "price of",
                "price change",
                "purchases",
                "units",
                "revenue",
                "revenue change",
                "95 % interval",
                "verdict",
            ),
            [_row(change, choices) for change in changes],
            frozenset(range(1, 7)),
            {NOT_CREDIBLE: "bad", PARTLY_NOT_CREDIBLE: "wait"},
        ),
    )


def best_change_sentence(changes: Sequence[WhatIf], choices: Elasticities) -> str:
    """Name the credible price change that increases revenue most, if there is one."""
    credible = [change for change in changes if _verdict(change.brand, choices) == CREDIBLE]
    best = max(credible, key=lambda change: change.revenue_change.value, default=None)
    if best is None or best.revenue_change.value <= 0:
        return "None of the credible changes would increase revenue."
    subject = "all prices" if best.brand is None else f"the price of brand {best.brand}"
    return (
        f"Of the credible changes, {signed_percent(100 * best.change, 0)} on {subject} would increase revenue most: by "
        f"{percent(best.revenue_change.value)} (95 % interval {interval_text(best.revenue_change, 100, digits=1)} %)."
    )


def _row(change: WhatIf, choices: Elasticities) -> tuple[str, ...]:
    return (
        "all brands" if change.brand is None else f"brand {change.brand}",
        signed_percent(100 * change.change, 0),
        decimal(change.purchases.value, 1),
        decimal(change.units.value, 1),
        amount(change.revenue.value),
        signed_percent(100 * change.revenue_change.value),
        f"{interval_text(change.revenue_change, 100, digits=1)} %",
        _verdict(change.brand, choices),
    )


def _verdict(brand: str | None, choices: Elasticities) -> str:
    if brand is None:
        return PARTLY_NOT_CREDIBLE if choices.wrong else CREDIBLE
    return NOT_CREDIBLE if brand in choices.wrong else CREDIBLE
