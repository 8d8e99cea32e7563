"""The estimators against statsmodels, and the bootstrap against refitting."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.discrete.conditional_models import ConditionalLogit as Reference

from pipeline.errors import RefusedError
from pipeline.shoppers.estimation import DRAWS, ConditionalLogit, Glm, Interval, standard_errors

RNG = np.random.default_rng(3)
PEOPLE = np.repeat(np.arange(60), 20)
X = np.column_stack([RNG.normal(size=1200), 1e5 * RNG.normal(size=60)[PEOPLE]])
Z = 0.4 + 0.8 * X[:, 0] - 5e-6 * X[:, 1]


@pytest.mark.parametrize("family", ["logit", "poisson"])
def test_a_glm_is_that_of_statsmodels_with_errors_clustered_by_person(family: str) -> None:
    y = RNG.random(1200) < 1 / (1 + np.exp(-Z)) if family == "logit" else RNG.poisson(np.exp(Z))
    model = Glm(family, 7).fit(X, y, PEOPLE)  # type: ignore[arg-type]
    how = sm.families.Binomial() if family == "logit" else sm.families.Poisson()
    reference = sm.GLM(np.asarray(y, dtype=float), sm.add_constant(X), family=how)
    fitted = reference.fit(cov_type="cluster", cov_kwds={"groups": PEOPLE, "use_correction": False})
    np.testing.assert_allclose(model.coef_, fitted.params, rtol=1e-6)
    np.testing.assert_allclose(standard_errors(model), fitted.bse * np.sqrt(60 / 59), rtol=1e-4)
    np.testing.assert_allclose(model.predict(X), fitted.fittedvalues, rtol=1e-6)


def test_the_bootstrap_is_near_to_refitting_on_drawn_people() -> None:
    y = (RNG.random(1200) < 1 / (1 + np.exp(-Z))).astype(float)
    model = Glm("logit", 7).fit(X, y, PEOPLE)
    again = []
    for _ in range(150):
        rows = np.concatenate([np.flatnonzero(person == PEOPLE) for person in RNG.integers(0, 60, 60)])
        again.append(Glm("logit", 7).fit(X[rows], y[rows]).coef_)
    np.testing.assert_allclose(model.draws_.std(axis=0), np.std(again, axis=0), rtol=0.25)
    np.testing.assert_allclose(model.draws_.std(axis=0), standard_errors(model), rtol=0.2)
    assert model.draws_.shape == (DRAWS, 3)


def test_the_same_seed_gives_the_same_draws_and_another_one_others() -> None:
    y = (Z > 0) ^ (RNG.random(1200) < 0.3)
    draws = [Glm("logit", seed).fit(X, y, PEOPLE).draws_ for seed in (7, 7, 8)]
    assert (draws[0] == draws[1]).all()
    assert not (draws[0] == draws[2]).any()


def choices(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    design = RNG.normal(size=(count, 3, 2))
    utility = design @ np.array([1.2, -0.7]) + RNG.gumbel(size=(count, 3))
    return design, utility.argmax(axis=1)


def test_the_conditional_logit_is_that_of_statsmodels() -> None:
    design, chosen = choices()
    model = ConditionalLogit(7).fit(design, chosen)
    groups = np.repeat(np.arange(len(chosen)), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = Reference(np.eye(3)[chosen].ravel(), design.reshape(-1, 2), groups=groups).fit(disp=0)
    np.testing.assert_allclose(model.coef_, reference.params, rtol=1e-4)
    np.testing.assert_allclose(standard_errors(model), reference.bse, rtol=0.15)


def test_an_alternative_that_is_not_available_has_probability_zero() -> None:
    design, chosen = choices()
    model = ConditionalLogit(7).fit(design, chosen)
    without = design.copy()
    without[:, 2] = np.nan
    shares = model.shares(without)
    assert (shares[:, 2] == 0).all()
    whole = model.shares(design)
    np.testing.assert_allclose(shares[:, 0] / shares[:, 1], whole[:, 0] / whole[:, 1])


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.01, 1e4), seed=st.integers(0, 1000))
def test_shares_add_up_to_one_however_large_the_utilities(scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = ConditionalLogit()
    model.coef_ = rng.normal(size=2)
    shares = model.shares(scale * rng.normal(size=(20, 4, 2)))
    assert np.isfinite(shares).all()
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("design", "outcome"),
    [
        (np.column_stack([X[:, 0], 2 * X[:, 0]]), Z > 0.4),
        (np.column_stack([X[:, 0], np.ones(1200)]), Z > 0.4),
        (X, np.ones(1200)),
    ],
    ids=["the same twice", "never varies", "one outcome"],
)
def test_data_that_do_not_identify_the_coefficients_are_refused(design: np.ndarray, outcome: np.ndarray) -> None:
    noisy = outcome if outcome.all() else outcome ^ (RNG.random(1200) < 0.3)
    with pytest.raises(RefusedError, match=r"not identified|all the same"):
        Glm("logit").fit(design, noisy, PEOPLE)


def test_an_interval_contains_its_middle() -> None:
    interval = Interval.of(1.0, np.linspace(0, 2, 201))
    assert (interval.low, interval.high) == pytest.approx((0.05, 1.95))
    assert 1.0 in interval
    assert 2.0 not in interval
