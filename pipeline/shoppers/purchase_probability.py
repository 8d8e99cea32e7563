"""Will a visit end in a purchase: the model that predicts it, and the curves that explain it by price.

Two models, for two questions.

`price_model` is that of the course (365 Data Science, Customer Analytics in Python): a logit on the mean price of the
brands, or on price and promotion. It ranks visits hardly better than chance, for it knows nothing of who comes; it is
there for its elasticity, price x coefficient x (1 - probability), which is what is published.

`train` makes the one that predicts: the same two columns beside what the person did before, and demographics where
most people's are known. History enters along lines that bend, for nobody's hunger is linear in days. Being fitted by
maximum likelihood with an intercept, its mean probability is the purchase rate of its training days; `measure` says how
far that holds on others.
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

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

MODEL = "purchase_probability"
FLAGS = ("never_bought", "bought_last_time")
CURVED = tuple(name for name in HISTORY if name not in FLAGS)
MAX_UNKNOWN = 0.5
"""Demographics are used where at most this share of the visits lacks them."""
GRID = np.round(np.arange(0.5, 3.51, 0.01), 2)
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Curve:
    """The elasticity of the purchase probability along a price grid, with the ends of its 95 % interval.

    Attributes:
        name: whose: everybody's, or a segment's.
        promotion: whether the brands are promoted; None where the model does not know of promotions.
        crossing: the price from which on demand is elastic (elasticity below -1); None if nowhere on the grid.
    """

    name: str
    promotion: bool | None
    prices: tuple[float, ...]
    elasticity: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    crossing: float | None

    def at(self, price: float) -> float:
        """The elasticity at a price, between the points of the grid."""
        return float(np.interp(price, self.prices, self.elasticity))


def features(visits: pd.DataFrame) -> tuple[str, ...]:
    """The columns that the predicting model is trained on."""
    known = all(visits[name].isna().mean() <= MAX_UNKNOWN for name in DEMOGRAPHICS)
    return (*SHELF, *HISTORY, *(DEMOGRAPHICS if known else ()))


def train(visits: pd.DataFrame, *, seed: int) -> Pipeline:
    """Fit the predicting model.

    Args:
        visits: rows of `frames.frame`, of visits that have happened.

    Raises:
        RefusedError: if there is nothing to learn from.
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
        known = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        columns.append(("demographics", known, list(DEMOGRAPHICS)))
    model = Pipeline([("columns", ColumnTransformer(columns)), ("logit", Glm("logit", seed))])
    return model.fit(visits[list(names)], visits["bought"], logit__people=visits["person"].to_numpy())


def predict(model: Pipeline, visits: pd.DataFrame) -> NDArray[np.float64]:
    """The purchase probability of each visit."""
    chances: NDArray[np.float64] = model.predict(visits[list(model.feature_names_in_)])
    return chances


def predict_draws(model: Pipeline, visits: pd.DataFrame) -> NDArray[np.float64]:
    """(visits, draws): the same by each bootstrap replicate."""
    draws: NDArray[np.float64] = model[-1].mean_draws(model[:-1].transform(visits[list(model.feature_names_in_)]))
    return draws


def measure(chances: NDArray[np.float64], visits: pd.DataFrame, base_rate: float) -> dict[str, float]:
    """How good probabilities are.

    Args:
        base_rate: the purchase rate of the training days, the forecast of whoever knows nothing else.

    Returns:
        auc; log_loss, and base_log_loss of the base rate; calibration_error: the mean distance between what was said
        and what happened, over tenths of the visits (expected calibration error); mean_probability, purchase_rate.
    """
    bought = visits["bought"].to_numpy(dtype=np.float64)
    if len(np.unique(bought)) < 2:
        raise RefusedError(
            "Visits that all end alike measure nothing", observed=f"{len(bought):,} visits", todo="take more days"
        )
    parts = np.array_split(np.argsort(chances, kind="stable"), CALIBRATION_BINS)
    gaps = [abs(chances[part].mean() - bought[part].mean()) * len(part) for part in parts if len(part)]
    return {
        "auc": float(roc_auc_score(bought, chances)),
        "log_loss": float(log_loss(bought, chances)),
        "base_log_loss": float(log_loss(bought, np.full(len(bought), base_rate))),
        "calibration_error": float(sum(gaps) / len(bought)),
        "mean_probability": float(chances.mean()),
        "purchase_rate": float(bought.mean()),
    }


def inputs(visits: pd.DataFrame) -> list[str]:
    """The columns that the model reads."""
    return list(features(visits))


def baseline(earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    """What saying the purchase rate of the earlier days comes to on the later ones."""
    rate = float(earlier["bought"].mean())
    return {"log_loss": float(log_loss(later["bought"], np.full(len(later), rate)))}


def estimates(model: Pipeline, visits: pd.DataFrame) -> dict[str, Any]:
    """The course's models on the same visits, and the shelf's part of the predicting one, with standard errors."""
    found: dict[str, Any] = {}
    for name, columns in (("price", ("price",)), ("price and promotion", SHELF)):
        fitted = price_model(visits, columns)
        found[name] = coefficients(("constant", *columns), fitted.coef_, standard_errors(fitted))
    scale = model["columns"].named_transformers_["shelf"].scale_
    at = slice(1, 1 + len(SHELF))
    found["predicting"] = coefficients(SHELF, model[-1].coef_[at] / scale, standard_errors(model[-1])[at] / scale)
    return found


def price_model(visits: pd.DataFrame, columns: Sequence[str] = ("price",), *, seed: int = 7) -> Glm:
    """The course's model: a logit on the mean price, or on price and promotion.

    Raises:
        RefusedError: if prices do not vary, or every visit ends alike.
    """
    return Glm("logit", seed).fit(visits[list(columns)], visits["bought"], visits["person"])


def elasticity(
    model: Glm, prices: NDArray[np.float64] = GRID, promotion: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The elasticity of the purchase probability at each price, and (prices, draws) by each replicate."""
    design = prices[:, None] if promotion is None else np.column_stack([prices, np.full(len(prices), promotion)])
    value = model.coef_[1] * prices * (1 - model.mean(design))
    draws = model.draws_[:, 1] * prices[:, None] * (1 - model.mean_draws(design))
    return value, draws


def curves(visits: pd.DataFrame, name: str = "everybody", *, seed: int = 7) -> tuple[Curve, Curve, Curve]:
    """The elasticity by price alone, and by price without and with promotion.

    Raises:
        RefusedError: if prices or promotions do not vary, or every visit ends alike.
    """
    alone, both = price_model(visits, seed=seed), price_model(visits, SHELF, seed=seed)
    return (_curve(name, alone, None), _curve(name, both, False), _curve(name, both, True))


def curves_by(visits: pd.DataFrame, groups: Mapping[str, str], *, seed: int = 7) -> list[Curve]:
    """The curve by price alone of each group of people whose visits can tell one.

    Args:
        groups: the group of each person who is in one.
    """
    group = visits["person"].map(groups)
    found = []
    for name in sorted(group.dropna().unique()):
        try:
            found.append(_curve(str(name), price_model(visits[group == name], seed=seed), None))
        except RefusedError:
            continue  # too few visits of one kind: a group without a curve is shown without one
    return found


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
    """The first price at which the elasticity is -1, between the points of the grid."""
    beyond = np.flatnonzero(value <= -1)
    if not len(beyond) or beyond[0] == 0:
        return None
    at = slice(int(beyond[0]) - 1, int(beyond[0]) + 1)
    return float(np.interp(1.0, -value[at], GRID[at]))
