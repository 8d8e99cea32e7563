"""How good each model is on unseen days: trained on the first four fifths of the days, tested on the rest.

The history of a test visit is all that came before it, other test visits included: as on a working day, the model is
old and what it knows of people is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.shoppers import brand_choice, purchase_probability, purchase_quantity
from pipeline.shoppers.wide_frame import earlier_later, split_at

if TYPE_CHECKING:
    import pandas as pd

    Measured = Callable[[Any, pd.DataFrame, pd.DataFrame], dict[str, float]]
    Trainer = Callable[..., Any]


def backtest(model: str, visits: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """Backtest one of the visit models.

    Args:
        model: its name.
        visits: rows of `frames.frame`, of visits that have happened.

    Returns:
        `{"model": …, "folds": [{"from": …, "to": …, "metrics": {…}}], "mean": {…}}`; `to` is the last day tested.

    Raises:
        UsageError: if there is no such model.
        RefusedError: if the days are too few.
    """
    if model not in TRAIN:
        raise UsageError("No visit model has this name", observed=model, allowed=", ".join(TRAIN))
    cut = split_at(visits)
    earlier, later = earlier_later(visits, cut)
    metrics = MEASURE[model](TRAIN[model](earlier, seed=seed), earlier, later)
    fold = {"from": cut.date().isoformat(), "to": str(later["day"].max())[:10], "metrics": metrics}
    return {"model": model, "folds": [fold], "mean": dict(metrics)}


def _probability(model: Any, earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    course = purchase_probability.price_model(earlier).mean(later[["price"]])
    base = float(earlier["bought"].mean())
    return {
        **purchase_probability.measure(purchase_probability.predict(model, later), later, base),
        "price_only_auc": purchase_probability.measure(course, later, base)["auc"],
    }


def _choice(model: Any, earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    then, now = brand_choice.purchases(earlier), brand_choice.purchases(later)
    return {
        **brand_choice.measure(model, now),
        "prices_only_accuracy": brand_choice.prices_only_accuracy(then, now),
    }


def _quantity(model: Any, earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    then, now = brand_choice.purchases(earlier), brand_choice.purchases(later)
    return {**purchase_quantity.measure(model, now), "price_only_r2": purchase_quantity.course_r2(then, now)}


TRAIN: Mapping[str, Trainer] = {
    purchase_probability.MODEL: purchase_probability.train,
    brand_choice.MODEL: brand_choice.train,
    purchase_quantity.MODEL: purchase_quantity.train,
}
MEASURE: Mapping[str, Measured] = {
    purchase_probability.MODEL: _probability,
    brand_choice.MODEL: _choice,
    purchase_quantity.MODEL: _quantity,
}
