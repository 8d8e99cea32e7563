"""Backtests of the visit models: trained on the first four fifths of the days, tested on the others.

The history of a test visit includes earlier test visits, as in production: the model is older than the features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.shoppers import brand_choice, purchase_probability, purchase_quantity
from pipeline.shoppers.wide_frame import earlier_later, split_at

if TYPE_CHECKING:
    import pandas as pd

    Measure = Callable[[Any, pd.DataFrame, pd.DataFrame], dict[str, float]]
    Trainer = Callable[..., Any]


def backtest(model: str, visits: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """Backtest one of the visit models.

    Args:
        model: its name.
        visits: rows of `wide_frame.frame` of past visits.
        seed: of the training.

    Returns:
        `{"model": …, "folds": [{"from": …, "to": …, "metrics": {…}}], "mean": {…}}`; `to` is the last day tested.

    Raises:
        UsageError: there is no such model.
        RefusedError: there are too few days.
    """
    if model not in TRAIN:
        raise UsageError("No visit model has this name", observed=model, allowed=", ".join(TRAIN))
    cut = split_at(visits)
    earlier, later = earlier_later(visits, cut)
    metrics = MEASURE[model](TRAIN[model](earlier, seed=seed), earlier, later)
    fold = {"from": cut.date().isoformat(), "to": str(later["day"].max())[:10], "metrics": metrics}
    return {"model": model, "folds": [fold], "mean": dict(metrics)}


def _probability(model: Any, earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    price_only = purchase_probability.price_model(earlier).mean(later[["price"]])
    base = float(earlier["bought"].mean())
    return {
        **purchase_probability.measure(purchase_probability.predict(model, later), later, base),
        "price_only_auc": purchase_probability.measure(price_only, later, base)["auc"],
    }


def _choice(model: Any, earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    train_rows, test_rows = brand_choice.purchases(earlier), brand_choice.purchases(later)
    return {
        **brand_choice.measure(model, test_rows),
        "prices_only_accuracy": brand_choice.prices_only_accuracy(train_rows, test_rows),
    }


def _quantity(model: Any, earlier: pd.DataFrame, later: pd.DataFrame) -> dict[str, float]:
    train_rows, test_rows = brand_choice.purchases(earlier), brand_choice.purchases(later)
    return {
        **purchase_quantity.measure(model, test_rows),
        "price_only_r2": purchase_quantity.price_only_r2(train_rows, test_rows),
    }


TRAIN: Mapping[str, Trainer] = {
    purchase_probability.MODEL: purchase_probability.train,
    brand_choice.MODEL: brand_choice.train,
    purchase_quantity.MODEL: purchase_quantity.train,
}
MEASURE: Mapping[str, Measure] = {
    purchase_probability.MODEL: _probability,
    brand_choice.MODEL: _choice,
    purchase_quantity.MODEL: _quantity,
}
