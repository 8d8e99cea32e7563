"""Units: planted effects, and what the model does with brands it does not know."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import RefusedError
from pipeline.shoppers import purchase_quantity
from pipeline.shoppers.brand_choice import purchases
from pipeline.shoppers.estimation import standard_errors
from pipeline.shoppers.purchase_quantity import PurchaseQuantity
from pipeline.simulate.visits import Truth
from tests.shoppers.helpers import SIMULTANEOUS


@pytest.fixture(scope="module")
def model(visits: pd.DataFrame) -> PurchaseQuantity:
    return purchase_quantity.train(visits, seed=7)


def test_planted_effects_are_recovered(model: PurchaseQuantity) -> None:
    errors = standard_errors(model.glm_)
    planted = {"log price": Truth().log_price_quantity, "promotion": Truth().promotion_quantity}
    for name, value in planted.items():
        at = model.coefficients.index(name)
        assert abs(model.glm_.coef_[at] - value) < SIMULTANEOUS * errors[at], name
        assert abs(model.glm_.coef_[at]) > SIMULTANEOUS * errors[at], name
    assert Truth().log_price_quantity in model.elasticity()


def test_the_elasticity_is_what_a_price_change_does(model: PurchaseQuantity, visits: pd.DataFrame) -> None:
    bought = purchases(visits).head(100)
    dearer = bought.assign(**{f"prices:{b}": 1.01 * bought[f"prices:{b}"] for b in model.brands_})
    change = np.log(model.predict(dearer) / model.predict(bought)) / np.log(1.01)
    np.testing.assert_allclose(change, model.elasticity().value)


def test_an_unknown_brand_gets_the_mean(model: PurchaseQuantity, visits: pd.DataFrame) -> None:
    bought = purchases(visits).head(3).assign(brand=["new", "", "1"])
    predicted = model.predict(bought)
    assert predicted[0] == predicted[1] == float(model.prior_)
    assert np.isfinite(predicted).all()


def test_a_brand_without_a_price_has_no_units(model: PurchaseQuantity, visits: pd.DataFrame) -> None:
    units = model.units(visits.head(5).assign(**{"prices:2": np.nan}))
    assert np.isnan(units[:, 1]).all()
    assert np.isfinite(units[:, 0]).all()


def test_too_few_purchases_are_refused(visits: pd.DataFrame) -> None:
    with pytest.raises(RefusedError, match="often enough"):
        PurchaseQuantity(7).fit(purchases(visits).head(5))
