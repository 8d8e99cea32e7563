"""The shoppers page: estimates that are not credible are neither shown nor recommended."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from pipeline.shoppers import brand_choice, purchase_probability, purchase_quantity
from pipeline.shoppers.brand_choice import Elasticities, elasticities, purchases
from pipeline.shoppers.estimation import Interval
from pipeline.shoppers.sections.choice import MIN_PURCHASES, by_segment_sections, choice_section
from pipeline.shoppers.sections.price_changes import best_change_sentence
from pipeline.shoppers.what_if import Models, WhatIf, what_if


@pytest.fixture(scope="module")
def models(visits: pd.DataFrame) -> Models:
    return Models(*(part.train(visits, seed=7) for part in (purchase_probability, brand_choice, purchase_quantity)))


@pytest.fixture(scope="module")
def choices(models: Models, visits: pd.DataFrame) -> Elasticities:
    return elasticities(models.choice, purchases(visits))


@pytest.fixture(scope="module")
def changes(models: Models, shoppers: pd.DataFrame) -> list[WhatIf]:
    return [change for brand in (None, "3", "5") for change in what_if(models, shoppers, brand=brand)]


def test_elasticities_that_are_not_credible_are_left_out_of_the_chart(choices: Elasticities) -> None:
    figure = json.loads(choice_section(replace(choices, wrong=("3",))).figure or "")
    text = figure["data"][0]["text"]
    assert [row[2] for row in text] == text[2] == ["?"] * 5
    assert "?" not in text[0][:2] + text[0][3:]
    assert "?" not in str(json.loads(choice_section(choices).figure or "")["data"][0]["text"])


def test_price_changes_that_are_not_credible_are_not_recommended(changes: list[WhatIf], choices: Elasticities) -> None:
    all_credible = best_change_sentence(changes, choices)
    assert "on all prices" in all_credible, "the demand of the simulated shelf is elastic"
    without_three = best_change_sentence(changes, replace(choices, wrong=("3",)))
    assert "on the price of brand 5" in without_three
    assert "None of the credible changes" in best_change_sentence(changes, replace(choices, wrong=("3", "5")))


def test_a_change_that_lowers_revenue_is_not_recommended(changes: list[WhatIf], choices: Elasticities) -> None:
    worse = [replace(change, revenue_change=Interval(-0.1, -0.2, -0.01)) for change in changes]
    assert best_change_sentence(worse, choices) == "None of the credible changes would increase revenue."


def test_a_segment_with_too_few_purchases_has_no_elasticities(models: Models, visits: pd.DataFrame) -> None:
    bought = purchases(visits)
    counts = bought["person"].value_counts()
    few = counts.index[: int((counts.cumsum() < MIN_PURCHASES).sum())]
    segments = {str(person): "few" if person in few else "many" for person in counts.index}
    (section,) = by_segment_sections(models.choice, bought, segments)
    assert section.table is not None
    assert [row[0] for row in section.table.rows] == ["many"]
    assert by_segment_sections(models.choice, bought, {str(person): "few" for person in few}) == []
