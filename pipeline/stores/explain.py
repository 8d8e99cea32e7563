"""Explain forecasts: importance of features, contributions to one day's forecast, and effects of single features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.errors import UsageError
from pipeline.stores.backtest import rmspe
from pipeline.stores.features import feature_rows, planned_days

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline.stores.gradient_boosting import GradientBoosting, SeasonalBoosting
    from pipeline.stores.model import Model
    from pipeline.stores.state import StoreState

SAMPLE_ROWS = 20_000
"""Rows on which importances and partial effects are measured."""
SHAP_ROWS = 2_000
"""Rows over which SHAP values are averaged; they take a hundred times as long as forecasts."""


@dataclass(frozen=True)
class DayExplanation:
    """The explanation of the forecast of one store's day.

    Attributes:
        linear: forecast of the store's linear model, in sales.
        forecast: the model's forecast, in sales.
        start: the value that all rows have in common, as a ratio to `linear`.
        contributions: feature -> SHAP value, as a ratio to `linear`, by decreasing absolute value. `start` and the
            contributions add up to forecast / linear.
    """

    linear: float
    forecast: float
    start: float
    contributions: pd.Series


def permutation_importance(
    model: Model, rows: pd.DataFrame, columns: Sequence[str], *, seed: int, repeats: int = 1
) -> pd.Series:
    """Measure the increase of RMSPE when a column is shuffled among rows that the model has not seen (Breiman 2001).

    Each column is shuffled alone, so a column whose information others repeat appears less important than it is.

    Args:
        model: a fitted model.
        rows: features, and sales > 0.
        columns: those to shuffle.
        seed: of the sample and of the shuffling.
        repeats: how often each column is shuffled; the increases are averaged.

    Returns:
        Increase of RMSPE (a fraction) by column, largest first.
    """
    rng = np.random.default_rng(seed)
    sample = _sample(rows, seed)
    actual = sample["sales"].to_numpy(float)
    unshuffled_error = rmspe(actual, model.predict(sample))
    increase = {}
    for column in columns:
        shuffled = sample.copy()
        errors = []
        for _ in range(repeats):
            shuffled[column] = sample[column].to_numpy()[rng.permutation(len(sample))]
            errors.append(rmspe(actual, model.predict(shuffled)))
        increase[column] = float(np.mean(errors)) - unshuffled_error
    return pd.Series(increase, dtype=float).sort_values(ascending=False)


def mean_contributions(model: GradientBoosting | SeasonalBoosting, rows: pd.DataFrame, *, seed: int) -> pd.Series:
    """Return the mean absolute SHAP value of each column (Lundberg et al. 2020), as a ratio to the linear forecast."""
    values = model.contributions(_sample(rows, seed, SHAP_ROWS))
    return pd.Series(np.abs(values[:, :-1]).mean(0), model.columns).sort_values(ascending=False)


def explain_day(
    model: GradientBoosting | SeasonalBoosting, rows: pd.DataFrame, store: int, day: dt.date
) -> DayExplanation:
    """Explain the forecast of one store's day.

    Args:
        model: a fitted model.
        rows: features of the days to forecast.
        store: the store's number.
        day: the day.

    Raises:
        UsageError: if the rows do not have that store's day.
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


def explain_first_days(
    model: GradientBoosting | SeasonalBoosting, rows: pd.DataFrame, *, days: int = 3, columns: int = 8
) -> pd.DataFrame:
    """Explain the forecasts of every store's first open days by the features that contribute most to each.

    Args:
        model: a fitted model.
        rows: features of the days to forecast.
        days: how many days of each store.
        columns: how many features of each day.

    Returns:
        store, day, linear and forecast (in sales), feature, contribution (as a ratio to linear), ordered by store and
        day, then by decreasing absolute contribution.
    """
    first = rows.sort_values(["store", "day"]).groupby("store").head(days)
    values = model.contributions(first)[:, :-1]
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :columns]
    explained = first[["store", "day"]].assign(linear=np.exp(first["linear"]), forecast=model.predict(first))
    return explained.loc[explained.index.repeat(order.shape[1])].assign(
        feature=np.array(model.columns)[order].ravel(),
        contribution=np.take_along_axis(values, order, axis=1).ravel(),
    )


def promotion_effect(model: Model, state: StoreState) -> pd.Series:
    """Return the mean forecast with promotion on no planned day (0.0) and on every one (1.0), relative to the plan.

    Only days on weekdays that have promotions in the plan count; without any, the result is empty. All features that
    depend on promotions change with them: the linear forecast and the distances to other promotions.
    """
    plan = planned_days(state)
    weekday = pd.to_datetime(plan["day"]).dt.weekday
    promoted = weekday.isin(weekday[plan["promo"]].unique()).to_numpy()
    if not promoted.any():
        return pd.Series(dtype=float)

    def mean_forecast(promo: pd.Series | bool) -> float:
        return float(model.predict(feature_rows(state, plan.assign(promo=promo)))[promoted].mean())

    as_planned = mean_forecast(plan["promo"])
    return pd.Series({value: mean_forecast(bool(value)) / as_planned for value in (0.0, 1.0)})


def weekday_effect(model: Model, state: StoreState) -> pd.Series:
    """Return the mean forecast by weekday (0 is Monday) without promotions, relative to each store's own mean."""
    plan = planned_days(state).assign(promo=False)
    logs = pd.Series(np.log(model.predict(feature_rows(state, plan))))
    relative = logs - logs.groupby(plan["store"]).transform("mean")
    means: pd.Series = relative.groupby(pd.to_datetime(plan["day"]).dt.weekday.astype(float)).mean()
    return pd.Series(np.exp(means))


def partial_effect(
    model: Model, rows: pd.DataFrame, column: str, values: Sequence[float | str], *, seed: int
) -> pd.Series:
    """Return the mean forecast with a column set to each value, relative to the mean forecast (Friedman 2001).

    All other columns stay unchanged. For a model that starts from the linear forecast, this is the column's effect in
    addition to that forecast.
    """
    sample = _sample(rows, seed)
    unchanged_mean = float(model.predict(sample).mean())
    means = [float(model.predict(sample.assign(**{column: value})).mean()) for value in values]
    return pd.Series(np.array(means) / unchanged_mean, index=list(values))


def _sample(rows: pd.DataFrame, seed: int, size: int = SAMPLE_ROWS) -> pd.DataFrame:
    return rows.sample(size, random_state=seed) if len(rows) > size else rows
