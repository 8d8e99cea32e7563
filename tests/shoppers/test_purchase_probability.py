"""The course's figures, the planted coefficients, and how good probabilities are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import RefusedError
from pipeline.shoppers import purchase_probability as probability
from pipeline.shoppers.estimation import standard_errors
from pipeline.simulate.visits import Truth
from tests.shoppers.helpers import SIMULTANEOUS


@pytest.mark.open_data
def test_the_courses_model_gives_its_published_elasticities(course_visits: pd.DataFrame) -> None:
    alone, without, promoted = probability.curves(course_visits)
    assert alone.at(1.00) == pytest.approx(-0.51, abs=0.05)
    assert alone.crossing == pytest.approx(1.26, abs=0.05)
    assert without.crossing == pytest.approx(1.26, abs=0.05)
    assert promoted.crossing == pytest.approx(1.44, abs=0.05)
    assert alone.at(2.00) == pytest.approx(-3.65, abs=0.05)


def test_curves_have_bands_around_them(visits: pd.DataFrame) -> None:
    for curve in probability.curves(visits):
        inside = (np.array(curve.low) <= curve.elasticity) & (np.array(curve.elasticity) <= np.array(curve.high))
        assert inside.all()
        assert curve.crossing is not None
        assert curve.at(curve.crossing) == pytest.approx(-1, abs=0.01)


def test_segments_have_curves_of_their_own(visits: pd.DataFrame) -> None:
    people = sorted(visits["person"].unique())
    groups = {person: "older" if number % 2 else "younger" for number, person in enumerate(people)} | {people[0]: "one"}
    found = probability.curves_by(visits, groups)
    assert {"older", "younger"} <= {curve.name for curve in found}


def test_demographics_are_used_where_they_are_known(visits: pd.DataFrame) -> None:
    unknown = visits.assign(**dict.fromkeys(probability.DEMOGRAPHICS, np.nan))
    assert set(probability.features(visits)) - set(probability.features(unknown)) == set(probability.DEMOGRAPHICS)
    model = probability.train(unknown, seed=7)
    assert ((probability.predict(model, unknown) > 0) & (probability.predict(model, unknown) < 1)).all()


def test_planted_effects_of_price_and_promotion_are_recovered(visits: pd.DataFrame) -> None:
    model = probability.train(visits, seed=7)
    scale = model["columns"].named_transformers_["shelf"].scale_
    errors = standard_errors(model[-1])
    for at, planted in enumerate((Truth().price, Truth().promotion)):
        estimate, error = model[-1].coef_[1 + at] / scale[at], errors[1 + at] / scale[at]
        assert abs(estimate - planted) < SIMULTANEOUS * error
        assert abs(estimate) > SIMULTANEOUS * error, "and it is told from nothing"


def test_the_mean_probability_is_the_purchase_rate_of_the_training(visits: pd.DataFrame) -> None:
    model = probability.train(visits, seed=7)
    assert probability.predict(model, visits).mean() == pytest.approx(visits["bought"].mean(), rel=1e-6)
    draws = probability.predict_draws(model, visits.head(50))
    assert draws.shape == (50, 200)


def test_the_same_visits_in_another_order_give_the_same_model(visits: pd.DataFrame) -> None:
    one = probability.train(visits, seed=7)
    other = probability.train(visits.sample(frac=1, random_state=1), seed=7)
    np.testing.assert_allclose(one[-1].coef_, other[-1].coef_, rtol=1e-6)


def test_measures(visits: pd.DataFrame) -> None:
    rows = pd.DataFrame({"bought": [0.0, 0.0, 1.0, 1.0] * 10})
    perfect = probability.measure(rows["bought"].to_numpy() * 0.98 + 0.01, rows, 0.5)
    assert perfect["auc"] == 1
    assert perfect["log_loss"] < 0.02 < perfect["base_log_loss"]
    turned = probability.measure(0.99 - rows["bought"].to_numpy() * 0.98, rows, 0.5)
    assert turned["auc"] == 0
    assert turned["calibration_error"] > 0.9
    with pytest.raises(RefusedError, match="same outcome"):
        probability.measure(np.full(4, 0.5), rows.assign(bought=0.0).head(4), 0.5)


def test_prices_that_never_move_are_refused(visits: pd.DataFrame) -> None:
    with pytest.raises(RefusedError, match="not identified"):
        probability.price_model(visits.assign(price=2.0))
