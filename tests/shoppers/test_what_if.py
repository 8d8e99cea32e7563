"""What-ifs: the chain adds up, intervals hold it, and nonsense is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UsageError
from pipeline.shoppers import brand_choice, purchase_probability, purchase_quantity
from pipeline.shoppers.what_if import Models, total_elasticities, what_if
from pipeline.shoppers.wide_frame import by_brand


@pytest.fixture(scope="module")
def models(visits: pd.DataFrame) -> Models:
    return Models(*(module.train(visits, seed=7) for module in (purchase_probability, brand_choice, purchase_quantity)))


def test_without_a_change_nothing_changes(models: Models, shoppers: pd.DataFrame) -> None:
    (found,) = what_if(models, shoppers, changes=[0.0])
    for change in (found.purchases_change, found.units_change, found.revenue_change):
        assert (change.value, change.low, change.high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_a_week_is_the_sum_over_people_of_the_three_models(models: Models, shoppers: pd.DataFrame) -> None:
    (found,) = what_if(models, shoppers, changes=[0.0])
    visits = shoppers["weekly_visits"].to_numpy()
    chance = purchase_probability.predict(models.probability, shoppers)
    units = models.choice.shares(shoppers) * models.quantity.units(shoppers)
    prices = by_brand(shoppers, "prices", list(models.choice.brands_))
    assert found.visits == pytest.approx(visits.sum())
    assert found.purchases.value == pytest.approx(visits @ chance)
    assert found.units.value == pytest.approx((visits * chance) @ units.sum(axis=1))
    assert found.revenue.value == pytest.approx((visits * chance) @ (units * prices).sum(axis=1))


def test_a_higher_price_lowers_purchases_and_units_most_of_that_brand(models: Models, shoppers: pd.DataFrame) -> None:
    for found in what_if(models, shoppers, brand="2", changes=[0.05, 0.2]):
        assert found.brand_units_change.high < found.units_change.value < 0
        assert found.purchases_change.value < 0
        assert found.purchases.low < found.purchases.value < found.purchases.high


def test_the_total_elasticity_is_the_sum_of_its_parts(models: Models, shoppers: pd.DataFrame) -> None:
    found = total_elasticities(models, shoppers)
    assert [e.brand for e in found] == list(models.choice.brands_)
    for each in found:
        parts = each.probability.value + each.choice.value + each.quantity.value
        assert each.total.value == pytest.approx(parts, abs=0.05)
        assert each.total.low < each.total.value < each.total.high
        assert not each.wrong
        assert each.quantity.value == pytest.approx(models.quantity.elasticity().value, abs=1e-6)


def test_a_sample_of_people_stands_for_all(
    models: Models, shoppers: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = what_if(models, shoppers, changes=[-0.1])
    monkeypatch.setattr("pipeline.shoppers.what_if.SHOPPERS", 200)
    (part,) = what_if(models, shoppers, changes=[-0.1])
    assert part.visits == pytest.approx(whole.visits)
    assert part.revenue.value == pytest.approx(whole.revenue.value, rel=0.1)


def test_unknown_brands_and_price_changes_without_a_price_are_refused(models: Models, shoppers: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="allowed: 1, 2, 3, 4, 5"):
        what_if(models, shoppers, brand="9")
    with pytest.raises(UsageError, match="leave a price"):
        what_if(models, shoppers, changes=[-1.0])
    assert np.isfinite(what_if(models, shoppers, changes=[-0.99])[0].revenue.value)
