"""Brand choice: shares, planted loyalties and prices, elasticities, and what is flagged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import RefusedError
from pipeline.shoppers import brand_choice
from pipeline.shoppers.brand_choice import BrandChoice, elasticities, elasticities_by, purchases
from pipeline.shoppers.estimation import standard_errors
from pipeline.simulate.visits import Truth
from tests.shoppers.helpers import SIMULTANEOUS


@pytest.fixture(scope="module")
def model(visits: pd.DataFrame) -> BrandChoice:
    return brand_choice.train(visits, seed=7)


def test_shares_add_up_to_one(model: BrandChoice, shoppers: pd.DataFrame) -> None:
    shares = model.shares(shoppers)
    assert (shares > 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_planted_prices_promotions_and_loyalties_are_recovered(model: BrandChoice) -> None:
    truth = Truth()
    planted = [*truth.constants[1:], *truth.log_price, truth.brand_promotion, truth.last_brand, truth.loyalty]
    away = (model.logit_.coef_ - planted) / standard_errors(model.logit_)
    missed = dict(zip(model.coefficients, np.abs(away) > SIMULTANEOUS, strict=True))
    assert not any(missed.values()), missed
    # And no interval is so wide that it would hold anything: prices, promotion and loyalty differ from nothing.
    z = np.abs(model.logit_.coef_ / standard_errors(model.logit_))[len(model.brands_) - 1 :]
    assert (z > SIMULTANEOUS).all(), dict(zip(model.coefficients[len(model.brands_) - 1 :], z, strict=True))


def test_elasticities_have_the_signs_of_demand(model: BrandChoice, visits: pd.DataFrame) -> None:
    elasticity = elasticities(model, purchases(visits))
    values = np.array([[cell.value for cell in row] for row in elasticity.matrix])
    assert elasticity.wrong == ()
    assert (np.diag(values) < 0).all()
    assert (values[~np.eye(len(values), dtype=bool)] > 0).all()
    assert all(cell.low <= cell.value <= cell.high for row in elasticity.matrix for cell in row)


def test_elasticities_are_what_a_price_change_does(model: BrandChoice, visits: pd.DataFrame) -> None:
    bought = purchases(visits).head(500)
    elasticity = elasticities(model, bought)
    dearer = bought.assign(**{"prices:2": bought["prices:2"] * 1.001})
    change = np.log(model.shares(dearer).sum(axis=0) / model.shares(bought).sum(axis=0)) / np.log(1.001)
    np.testing.assert_allclose(change, [row[1].value for row in elasticity.matrix], rtol=0.01)


def test_a_positive_own_price_elasticity_is_flagged(model: BrandChoice, visits: pd.DataFrame) -> None:
    wrong = BrandChoice().set_params(seed=7)
    wrong.brands_, wrong.logit_ = model.brands_, model.logit_.__class__(7)
    wrong.logit_.coef_, wrong.logit_.draws_ = model.logit_.coef_.copy(), model.logit_.draws_
    wrong.logit_.coef_[model.coefficients.index("log price of 3")] = 2.0
    elasticity = elasticities(wrong, purchases(visits))
    assert elasticity.wrong == ("3",)
    assert elasticity.own("3").value > 0


def test_segments_have_elasticities_of_their_own(model: BrandChoice, visits: pd.DataFrame) -> None:
    people = sorted(visits["person"].unique())
    by_group = elasticities_by(model, purchases(visits), {p: "even" if n % 2 else "odd" for n, p in enumerate(people)})
    assert set(by_group) == {"even", "odd"}
    assert by_group["odd"].own("1") != by_group["even"].own("1")


def test_a_brand_that_is_not_on_the_shelf_is_not_chosen(model: BrandChoice, shoppers: pd.DataFrame) -> None:
    shares = model.shares(shoppers.assign(**{"prices:5": np.nan}))
    assert (shares[:, 4] == 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_a_brand_that_hardly_anybody_bought_is_left_out(visits: pd.DataFrame) -> None:
    bought = purchases(visits)
    rare = bought[(bought["brand"] != "2") | (bought.groupby("brand").cumcount() < 5)]
    assert list(BrandChoice(7).fit(rare).brands_) == ["1", "3", "4", "5"]
    with pytest.raises(RefusedError, match="two brands"):
        BrandChoice(7).fit(bought[bought["brand"] == "1"])


def test_measures(model: BrandChoice, visits: pd.DataFrame) -> None:
    bought = purchases(visits)
    metrics = brand_choice.measure(model, bought)
    assert metrics["accuracy"] == pytest.approx((model.predict(bought) == bought["brand"]).mean())
    assert metrics["log_loss"] < brand_choice.baseline(visits, visits)["log_loss"]
