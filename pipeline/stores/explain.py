"""What drives the forecasts: which columns matter, what made one day's forecast, and what one column does by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.errors import UsageError
from pipeline.stores.backtest import error_metrics
from pipeline.stores.features import feature_rows, planned_days

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline.stores.gradient_boosting import GradientBoosting
    from pipeline.stores.model import Model
    from pipeline.stores.state import StoreState

SAMPLE_ROWS = 20_000  # rows that importances are measured on
SHAP_ROWS = 2_000  # rows that SHAP values are averaged over: they cost a hundred times a forecast


@dataclass(frozen=True)
class DayExplanation:
    """One store's day.

    Attributes:
        linear: what the store's linear model forecasts. forecast: what is forecast in the end.
        contributions: column -> by how much of `linear` it raises the forecast (SHAP), largest first, all of them.
        start: what every row starts from, as a share of `linear`; start and contributions add up to forecast / linear.
    """

    linear: float
    forecast: float
    start: float
    contributions: pd.Series


def permutation_importance(
    model: Model, rows: pd.DataFrame, columns: Sequence[str], *, seed: int, repeats: int = 1
) -> pd.Series:
    """By how much RMSPE grows when a column is shuffled among rows the model has not seen (Breiman 2001).

    `linear` and the columns about it are shuffled one at a time, like all others; a column that others repeat seems
    small.

    Args:
        rows: features with sales > 0. columns: those to shuffle.

    Returns:
        Growth of RMSPE by column, largest first.
    """
    rng = np.random.default_rng(seed)
    some = _sample(rows, seed)
    actual = some["sales"].to_numpy(float)
    as_is = error_metrics(actual, model.predict(some))["rmspe"]
    growth = {}
    for column in columns:
        shuffled = some.copy()
        worse = []
        for _ in range(repeats):
            shuffled[column] = some[column].to_numpy()[rng.permutation(len(some))]
            worse.append(error_metrics(actual, model.predict(shuffled))["rmspe"])
        growth[column] = float(np.mean(worse)) - as_is
    return pd.Series(growth, dtype=float).sort_values(ascending=False)


def mean_contributions(model: GradientBoosting, rows: pd.DataFrame, *, seed: int) -> pd.Series:
    """Mean absolute SHAP value of each column, largest first, as a share of the linear forecast (Lundberg et al.
    2020)."""
    values = model.contributions(_sample(rows, seed, SHAP_ROWS))
    return pd.Series(np.abs(values[:, :-1]).mean(0), model.columns).sort_values(ascending=False)


def explain_day(model: GradientBoosting, rows: pd.DataFrame, store: int, day: dt.date) -> DayExplanation:
    """Why one store's day is forecast as it is.

    Raises:
        UsageError: the rows do not hold that store's day.
    """
    row = rows[(rows["store"] == store) & (pd.to_datetime(rows["day"]) == pd.Timestamp(day))]
    if row.empty:
        raise UsageError(
            "there is no forecast to explain",
            observed=f"store {store} on {day}",
            allowed="a store and an open day of the rows given",
            todo="choose a day of the horizon on which the store is open",
        )
    values = model.contributions(row)[0]
    order = np.argsort(-np.abs(values[:-1]), kind="stable")
    return DayExplanation(
        linear=float(np.exp(row["linear"].iloc[0])),
        forecast=float(model.predict(row)[0]),
        start=float(values[-1]),
        contributions=pd.Series(values[:-1][order], [model.columns[k] for k in order]),
    )


def explain_first_days(model: GradientBoosting, rows: pd.DataFrame, *, days: int = 3, columns: int = 8) -> pd.DataFrame:
    """Why every store's first open days are forecast as they are: the columns that move each most.

    Args:
        rows: features of the days to forecast. days: of each store, from its first. columns: of each day.

    Returns:
        store, day, linear, forecast, feature, contribution (a share of linear), by store and day, largest first.
    """
    first = rows.sort_values(["store", "day"]).groupby("store").head(days)
    values = model.contributions(first)[:, :-1]
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :columns]
    repeated = first[["store", "day"]].assign(linear=np.exp(first["linear"]), forecast=model.predict(first))
    return repeated.loc[repeated.index.repeat(order.shape[1])].assign(
        feature=np.array(model.columns)[order].ravel(),
        contribution=np.take_along_axis(values, order, axis=1).ravel(),
    )


def promotion_effect(model: Model, state: StoreState) -> pd.Series:
    """Mean forecast of the planned days if none (0.0) or all (1.0) of them were promoted, relative to as planned.

    Only days on weekdays that the plan promotes at all count; without any the result is empty. Everything that follows
    from a promotion follows: the linear forecast and the distances to the promotions before and after.
    """
    plan = planned_days(state)
    weekday = pd.to_datetime(plan["day"]).dt.weekday
    promoted = weekday.isin(weekday[plan["promo"]].unique()).to_numpy()
    if not promoted.any():
        return pd.Series(dtype=float)

    def mean(promo: pd.Series | bool) -> float:
        return float(model.predict(feature_rows(state, plan.assign(promo=promo)))[promoted].mean())

    as_planned = mean(plan["promo"])
    return pd.Series({value: mean(bool(value)) / as_planned for value in (0.0, 1.0)})


def weekday_effect(model: Model, state: StoreState) -> pd.Series:
    """Mean forecast by weekday (0 is Monday) if nothing were promoted, each store relative to its own mean."""
    plan = planned_days(state).assign(promo=False)
    logs = pd.Series(np.log(model.predict(feature_rows(state, plan))))
    about = logs - logs.groupby(plan["store"]).transform("mean")
    means: pd.Series = about.groupby(pd.to_datetime(plan["day"]).dt.weekday.astype(float)).mean()
    return pd.Series(np.exp(means))


def partial_effect(
    model: Model, rows: pd.DataFrame, column: str, values: Sequence[float | str], *, seed: int
) -> pd.Series:
    """Mean forecast with a column set to each value and all others as they are, relative to the mean forecast as it is.

    For a model that stands on the linear forecast this is what the column does beyond it (Friedman 2001).
    """
    some = _sample(rows, seed)
    as_is = float(model.predict(some).mean())
    means = [float(model.predict(some.assign(**{column: value})).mean()) for value in values]
    return pd.Series(np.array(means) / as_is, index=list(values))


def _sample(rows: pd.DataFrame, seed: int, size: int = SAMPLE_ROWS) -> pd.DataFrame:
    return rows.sample(size, random_state=seed) if len(rows) > size else rows
