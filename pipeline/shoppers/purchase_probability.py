"""The probability that a visit ends in a purchase: a predictive model, and elasticity curves over the price.

There are two models, for two questions.

`price_model` is that of a published course (365 Data Science, Customer Analytics in Python): a logit on the mean price
of the brands, or on price and promotion. It ranks visits hardly better than chance because it knows nothing about the
person. It is used for its elasticity only, price x coefficient x (1 - probability), which the course publishes.

`train` fits the model that predicts. It has the same two columns, the person's history, and demographics where they are
known for most people. The effects of the history are piecewise linear (`LinearSplines`). As the model is fitted by
maximum likelihood with an intercept, its mean probability equals the purchase rate of the training days; `measure`
shows how far this holds on other days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.errors import RefusedError
from pipeline.shoppers.estimation import HIGH, LOW, Glm, coefficients, standard_errors
from pipeline.shoppers.features import DEMOGRAPHICS, HISTORY, SHELF
from pipeline.shoppers.splines import LinearSplines
from pipeline.training.metrics import calibration_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

MODEL = "purchase_probability"
FLAGS = ("never_bought", "bought_last_time")
CURVED = tuple(name for name in HISTORY if name not in FLAGS)
MAX_UNKNOWN = 0.5
"""Demographics are used if at most this fraction of the visits lacks each of them."""
GRID = np.round(np.arange(0.5, 3.51, 0.01), 2)
"""The prices of an elasticity curve."""


@dataclass(frozen=True)
class Curve:
    """The elasticity of the purchase probability along a price grid, with the ends of its 95 % interval.

    Attributes:
        name: of the group of people.
        promotion: whether the brands are promoted; None if the model has no promotions.
        prices, elasticity, low, high: (prices,), the grid, the elasticity and its interval.
        crossing: the price from which on demand is elastic (elasticity below -1); None if there is none on the grid.
    """

    name: str
    promotion: bool | None
    prices: tuple[float, ...]
    elasticity: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    crossing: float | None

    def at(self, price: float) -> float:
        """Return the elasticity at a price, interpolated between the points of the grid."""
        return float(np.interp(price, self.prices, self.elasticity))


def features(visits: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns that the predictive model is trained on."""
    known = all(visits[name].isna().mean() <= MAX_UNKNOWN for name in DEMOGRAPHICS)
    return (*SHELF, *HISTORY, *(DEMOGRAPHICS if known else ()))


def train(visits: pd.DataFrame, *, seed: int) -> Pipeline:
    """Fit the predictive model.

    Args:
        visits: rows of `wide_frame.frame` of past visits.
        seed: of the bootstrap.

    Raises:
        RefusedError: all visits have the same outcome, or the coefficients are not identified.
    """
    names = features(visits)
    with_demographics = len(names) > len(SHELF) + len(HISTORY)
    history = make_pipeline(LinearSplines(), StandardScaler())
    columns: list[tuple[str, Any, list[str]]] = [
        ("shelf", StandardScaler(), list(SHELF)),
        ("flags", "passthrough", list(FLAGS)),
        ("history", history, list(CURVED)),
    ]
    if with_demographics:
        demographics = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        columns.append(("demographics", demographics, list(DEMOGRAPHICS)))
    model = Pipeline([("columns", ColumnTransformer(columns)), ("logit", Glm("logit", seed))])
    return model.fit(visits[list(names)], visits["bought"], logit__people=visits["person"].to_numpy())


def predict(model: Pipeline, visits: pd.DataFrame) -> NDArray[np.float64]:
    """Return the purchase probability of each visit, (visits,)."""
    probabilities: NDArray[np.float64] = model.predict(visits[list(model.feature_names_in_)])
    return probabilities


def predict_draws(model: Pipeline, visits: pd.DataFrame) -> NDArray[np.float64]:
    """Return the purchase probability of each visit by each bootstrap replicate, (visits, draws)."""
    draws: NDArray[np.float64] = model[-1].mean_draws(model[:-1].transform(visits[list(model.feature_names_in_)]))
    return draws


def measure(probabilities: NDArray[np.float64], visits: pd.DataFrame, base_rate: float) -> dict[str, float]:
    """Measure predicted probabilities.

    Args:
        probabilities: (visits,), as predicted.
        visits: rows of `wide_frame.frame` of the same visits, with their outcomes.
        base_rate: the purchase rate of the training days, which is the naive prediction.

    Returns:
        auc; log_loss, and base_log_loss of the base rate; calibration_error, see `metrics.calibration_error`;
        mean_probability; purchase_rate. All but the losses are fractions.

    Raises:
        RefusedError: all visits have the same outcome.
    """
    bought = visits["bought"].to_numpy(dtype=np.float64)
    if len(np.unique(bought)) < 2:
        raise RefusedError(
            "A model cannot be measured on visits that all have the same outcome",
            observed=f"{len(bought):,} visits",
            allowed="visits with a purchase and visits without one",
            todo="measure on more days",
        )
    return {
        "auc": float(roc_auc_score(bought, probabilities)),
        "log_loss": float(log_loss(bought, probabilities)),
        "base_log_loss": float(log_loss(bought, np.full(len(bought), base_rate))),
        "calibration_error": calibration_error(bought, probabilities),
        "mean_probability": float(probabilities.mean()),
        "purchase_rate": float(bought.mean()),
    }


def inputs(visits: pd.DataFrame) -> list[str]:
    """Return the columns that the model reads."""
    return list(features(visits))


def baseline(earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    """Return the log_loss of predicting the purchase rate of the earlier days for the later ones."""
    rate = float(earlier["bought"].mean())
    return {"log_loss": float(log_loss(later["bought"], np.full(len(later), rate)))}


def estimates(model: Pipeline, visits: pd.DataFrame) -> dict[str, Any]:
    """Return the coefficients of the course's models, and of price and promotion in the predictive one."""
    coefficients_of: dict[str, Any] = {}
    for name, columns in (("price", ("price",)), ("price and promotion", SHELF)):
        fitted = price_model(visits, columns)
        coefficients_of[name] = coefficients(("constant", *columns), fitted.coef_, standard_errors(fitted))
    scale = model["columns"].named_transformers_["shelf"].scale_
    at = slice(1, 1 + len(SHELF))
    coefficients_of["predicting"] = coefficients(
        SHELF, model[-1].coef_[at] / scale, standard_errors(model[-1])[at] / scale
    )
    return coefficients_of


def price_model(visits: pd.DataFrame, columns: Sequence[str] = ("price",), *, seed: int = 7) -> Glm:
    """Fit the course's model: a logit on the mean price, or on price and promotion.

    Raises:
        RefusedError: prices (or promotions) do not vary, or all visits have the same outcome.
    """
    return Glm("logit", seed).fit(visits[list(columns)], visits["bought"], visits["person"])


def elasticity(
    model: Glm, prices: NDArray[np.float64] = GRID, promotion: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the elasticity of the purchase probability at each price, (prices,), and by replicate, (prices, draws)."""
    design = prices[:, None] if promotion is None else np.column_stack([prices, np.full(len(prices), promotion)])
    value = model.coef_[1] * prices * (1 - model.mean(design))
    draws = model.draws_[:, 1] * prices[:, None] * (1 - model.mean_draws(design))
    return value, draws


def curves(visits: pd.DataFrame, name: str = "everybody", *, seed: int = 7) -> tuple[Curve, Curve, Curve]:
    """Return the elasticity curve of the model of price only, and those without and with promotion of the other one.

    Raises:
        RefusedError: prices or promotions do not vary, or all visits have the same outcome.
    """
    price_only, with_promotion = price_model(visits, seed=seed), price_model(visits, SHELF, seed=seed)
    return (_curve(name, price_only, None), _curve(name, with_promotion, False), _curve(name, with_promotion, True))


def curves_by(visits: pd.DataFrame, groups: Mapping[str, str], *, seed: int = 7) -> list[Curve]:
    """Return the curve of the model of price only for each group of people; groups with too few visits are left out.

    Args:
        visits: rows of `wide_frame.frame` of past visits.
        groups: person -> group, of the people who are in one.
        seed: of the bootstrap.
    """
    group = visits["person"].map(groups)
    by_group = []
    for name in sorted(group.dropna().unique()):
        try:
            by_group.append(_curve(str(name), price_model(visits[group == name], seed=seed), None))
        except RefusedError:
            continue
    return by_group


def _curve(name: str, model: Glm, promotion: bool | None) -> Curve:
    value, draws = elasticity(model, GRID, None if promotion is None else float(promotion))
    low, high = np.percentile(draws, (LOW, HIGH), axis=1)
    return Curve(
        name,
        promotion,
        tuple(GRID.tolist()),
        tuple(value.tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
        _crossing(value),
    )


def _crossing(value: NDArray[np.float64]) -> float | None:
    """Return the lowest price at which the elasticity is -1, interpolated between the points of the grid."""
    beyond = np.flatnonzero(value <= -1)
    if not len(beyond) or beyond[0] == 0:
        return None
    at = slice(int(beyond[0]) - 1, int(beyond[0]) + 1)
    return float(np.interp(1.0, -value[at], GRID[at]))
