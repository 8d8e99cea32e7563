"""What the shoppers' page says, and what it must not say."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from pipeline.shoppers import brand_choice, purchase_probability, purchase_quantity, report
from pipeline.shoppers.brand_choice import Elasticities, elasticities, purchases
from pipeline.shoppers.what_if import Models, WhatIf, what_if


@pytest.fixture(scope="module")
def models(visits: pd.DataFrame) -> Models:
    return Models(*(part.train(visits, seed=7) for part in (purchase_probability, brand_choice, purchase_quantity)))


@pytest.fixture(scope="module")
def choices(models: Models, visits: pd.DataFrame) -> Elasticities:
    return elasticities(models.choice, purchases(visits))


@pytest.fixture(scope="module")
def changes(models: Models, shoppers: pd.DataFrame) -> list[WhatIf]:
    return [each for brand in (None, "3", "5") for each in what_if(models, shoppers, brand=brand)]


def test_what_is_not_credible_is_not_in_the_picture(choices: Elasticities) -> None:
    figure = json.loads(report._choice(replace(choices, wrong=("3",))).figure or "")
    text = figure["data"][0]["text"]
    assert [row[2] for row in text] == text[2] == ["?"] * 5
    assert "?" not in text[0][:2] + text[0][3:]
    assert "?" not in str(json.loads(report._choice(choices).figure or "")["data"][0]["text"])


def test_what_is_not_credible_is_not_recommended(changes: list[WhatIf], choices: Elasticities) -> None:
    believed = report._best(changes, choices)
    assert "on all prices" in believed, "a shelf whose demand is elastic"
    doubted = report._best(changes, replace(choices, wrong=("3",)))
    assert "on the price of brand 5" in doubted
    assert "None of the changes" in report._best(changes, replace(choices, wrong=("3", "5")))
