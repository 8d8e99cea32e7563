"""Gradient boosting (LightGBM) of the ratio of sales to the store's linear forecast with last year's season.

Base: exp(linear + season), see linear.py and season.py. A season that the linear model has not learned is added before
the trees see it. Trees would otherwise learn it from rows of the first year, when the linear forecast had never seen a
Christmas, and apply it to a linear forecast that by now has: twice the season, 13 % too much for the whole chain.

Target and loss: with r = sales / base, the trees f minimise the sum of ((r - f) / r)^2. This is the square of RMSPE,
and the ratio makes stores of different size comparable. Squared error on log sales, the usual substitute, forecasts
exp(mean of logs); for log sales of variance v this is exp(1.5 v) times the forecast that is best for RMSPE,
E[1/y] / E[1/y^2], so it is most wrong where uncertainty is greatest (days before a closure, Sundays). With the loss
used here, the trees learn that correction row by row. r is clipped to `LOG_RATIO_RANGE`, so that a few mistyped or
half-closed days do not dominate the weights.

What the whole chain departed from its base on a day is mostly the weather or chance of that day, and trees memorise
which days they were. A share of it, `REMOVED`, is taken out of the target. Rows around a Christmas whose season was not
seen (the first year) are left out. For the same reason trees see levels without the chain's (`RELATIVE_COLUMNS`). In
training they are relative to the mean of the day, whose rows have origins up to six weeks apart: so they still tell how
the chain moved between these, and what it moved by is not taken for an effect of the season or the store. A forecast
has one origin, and no such movement.

Forecast: the trees' forecast, moved towards an anchor that no tree knows: the base, corrected by the store's recent
levels and averaged with `season_forecast`. It is moved by `SEEN_SHARE` where an earlier year's rows of the same weeks
knew their season and what a season is relative to, the `LEVEL_DAYS` before it; by `UNSEEN_SHARE` where the trees never
saw that; and on days of an unusual season towards
`season_forecast` by up to `SEASON_SHARE`. docs/store-sales.md says how these were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pandas as pd

from pipeline.stores.chain import relative_name
from pipeline.stores.features import CHAIN_COLUMNS, OWN_COLUMNS
from pipeline.stores.model import category_values, feature_matrix, require_columns
from pipeline.stores.season import LEVEL_DAYS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_TRAINING_ROWS_FOR_TWO_THREADS = 100_000
MIN_FORECAST_ROWS_FOR_TWO_THREADS = 1_000
"""With fewer rows a second thread costs more than it saves; on busy cores one row takes a hundred times as long."""
SEASON = "season"
"""The name under which explanations show what the season contributes."""
LOG_RATIO_RANGE = (-0.7, 1.5)
"""Range of log(sales / base); values beyond it are clipped."""
REMOVED = 0.3
SEEN_SHARE, UNSEEN_SHARE, SEASON_SHARE = 0.2, 0.5, 0.6
LEVELS = ("level_28", "level_182", "level_364")
LEVEL_SHARE = 0.15
"""Share of each of `LEVELS` that is added to the base in the anchor."""
ANCHOR_SHARE = 0.1
"""Share of `season_forecast` in the anchor, in logs."""
DAYS_OF_YEAR = 366
EARLIER_DAYS, AROUND_DAYS = 300, 10
"""Days back from which on rows are of an earlier year; and to either side of a day of the year that they speak for."""
ADVENT, EPIPHANY = -30, 5
"""Days from Christmas Eve, and day of the year, between which rows are left out whose season was not seen."""
ROUNDS = 500
PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "min_data_in_leaf": 40,  # days around closures are few
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


@dataclass(frozen=True)
class GradientBoosting:
    """Fitted trees; the names of its attributes are part of saved models. By itself, the model of earlier releases.

    Attributes:
        booster: predicts the ratio of sales to the base, which in models of earlier releases is the linear forecast.
        columns: the features that it reads, in order.
        words: the values of each categorical feature at training (`category_values`).
    """

    booster: lightgbm.Booster
    columns: tuple[str, ...]
    words: dict[str, list[str]]

    def ratio(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the ratio of sales to the base of each row, (rows,)."""
        x = feature_matrix(features, self.columns, self.words)
        threads = 2 if len(x) > MIN_FORECAST_ROWS_FOR_TWO_THREADS else 1
        return np.asarray(self.booster.predict(x, num_threads=threads))

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the sales forecast of each row, (rows,), with the linear forecast as base."""
        return np.asarray(np.exp(features["linear"].to_numpy(float)) * self.ratio(features))

    def contributions(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return SHAP values as ratios to the base: (rows, columns + 1), with the base value last."""
        x = feature_matrix(features, self.columns, self.words)
        return np.asarray(self.booster.predict(x, pred_contrib=True))


@dataclass(frozen=True)
class SeasonalBoosting:
    """A fitted model; the names of its attributes are part of saved models.

    Attributes:
        trees: predict the ratio of sales to exp(linear + season).
        seen: by day of the year, from 0, whether rows of an earlier year knew their season (0 or 1); see `seen_days`.
        shares: `SEEN_SHARE`, `UNSEEN_SHARE`, `SEASON_SHARE`, `LEVEL_SHARE` and `ANCHOR_SHARE` at training.
    """

    trees: GradientBoosting
    seen: list[int]
    shares: dict[str, float]

    @property
    def columns(self) -> tuple[str, ...]:
        """The features that `contributions` names."""
        return (*self.trees.columns, SEASON)

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the sales forecast of each row, (rows,)."""
        linear, of_trees, rest = self._parts(features)
        return np.asarray(linear * (of_trees * self.trees.ratio(features) + rest))

    def contributions(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return SHAP values as ratios to the linear forecast: (rows, columns + 1), with the base value last.

        The last column of `columns` is the season: whatever the trees do not contribute.
        """
        _, of_trees, rest = self._parts(features)
        values = self.trees.contributions(features)
        start = values[:, -1]
        season = of_trees * start + rest - start
        return np.column_stack([of_trees[:, None] * values[:, :-1], season, start])

    def _parts(self, features: pd.DataFrame) -> tuple[NDArray[np.float64], ...]:
        """Return the linear forecast, and the factor of the trees' ratio and the rest as ratios to it, (rows,) each."""
        columns = ["linear", "season", "season_weight", "season_forecast", "day_of_year", *LEVELS]
        require_columns(features, columns)
        linear, season, weight, forecast, day, *levels = features[columns].to_numpy(float).T
        known = np.isfinite(forecast)
        other = np.where(known, forecast, 0.0) - linear
        believed = np.where(known, self.shares["season"] * np.nan_to_num(weight), 0.0)
        of_anchor = np.where(np.array(self.seen)[day.astype(int) - 1], self.shares["seen"], self.shares["unseen"])
        level = season + self.shares["level"] * np.nan_to_num(levels).sum(axis=0)
        anchor = np.exp(np.where(known, level + self.shares["anchor"] * (other - level), level))
        rest = (1 - believed) * of_anchor * anchor + believed * np.exp(other)
        return np.exp(linear), (1 - believed) * (1 - of_anchor) * np.exp(season), rest


BOOSTED = (GradientBoosting, SeasonalBoosting)
"""The types whose forecasts have `contributions`."""


def fit(train: pd.DataFrame, seed: int) -> SeasonalBoosting:
    """Fit `ROUNDS` trees."""
    rows, departure = training_target(train)
    ratio, words = np.exp(departure), category_values(rows)
    data = lightgbm.Dataset(training_matrix(rows, words), ratio, weight=ratio**-2.0, feature_name=list(OWN_COLUMNS))
    threads = 2 if len(rows) > MIN_TRAINING_ROWS_FOR_TWO_THREADS else 1
    booster = lightgbm.train(PARAMETERS | {"seed": seed, "num_threads": threads}, data, ROUNDS)
    shares = {
        "seen": SEEN_SHARE,
        "unseen": UNSEEN_SHARE,
        "season": SEASON_SHARE,
        "level": LEVEL_SHARE,
        "anchor": ANCHOR_SHARE,
    }
    return SeasonalBoosting(GradientBoosting(booster, OWN_COLUMNS, words), seen_days(train), shares)


def training_target(train: pd.DataFrame) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Return the rows that trees learn from, and by how much, in logs, sales depart from the base, (rows,)."""
    base = (train["linear"] + train["season"]).to_numpy(float)
    departure = np.clip(np.log(train["sales"].to_numpy(float)) - base, *LOG_RATIO_RANGE)
    day = pd.factorize(train["day"])[0]
    chain = np.bincount(day, departure) / np.bincount(day)
    kept = ~(train["season_weight"].isna() & _near_christmas(train)).to_numpy()
    return train if kept.all() else train[kept], (departure - REMOVED * chain[day])[kept]


def training_matrix(rows: pd.DataFrame, words: dict[str, list[str]]) -> NDArray[np.float32]:
    """Return `OWN_COLUMNS` of training rows, with levels relative to the mean of the day: (rows, columns)."""
    x = feature_matrix(rows, OWN_COLUMNS, words)
    day = pd.factorize(rows["day"])[0]
    for name in CHAIN_COLUMNS:
        values = rows[name].to_numpy(float)
        known = np.isfinite(values)
        count = np.bincount(day, known)
        mean = np.bincount(day, np.where(known, values, 0)) / np.where(count > 0, count, np.nan)
        x[:, OWN_COLUMNS.index(relative_name(name))] = values - mean[day]
    return x


def _near_christmas(train: pd.DataFrame) -> pd.Series:
    """Return whether each day lies between `ADVENT` and `EPIPHANY`."""
    near: pd.Series = (train["christmas_days"] >= ADVENT) | (train["day_of_year"] <= EPIPHANY)
    return near


def seen_days(train: pd.DataFrame) -> list[int]:
    """Return for each day of the year whether rows of an earlier year near it knew their season, as 0 or 1.

    Those of the first `LEVEL_DAYS` that know a season do not count: their linear models have hardly a year of history
    and cannot tell a trend from the season yet, and the trees learn their mistakes.
    """
    days = pd.to_datetime(train["day"])
    known = train["season_weight"].notna()
    settled = days >= days[known].min() + pd.Timedelta(days=LEVEL_DAYS)
    earlier = known & settled & (days <= days.max() - pd.Timedelta(days=EARLIER_DAYS))
    seen = np.zeros(DAYS_OF_YEAR, int)
    of_year = days[earlier].dt.dayofyear.unique()
    for shift in range(-AROUND_DAYS, AROUND_DAYS + 1):
        seen[(of_year - 1 + shift) % DAYS_OF_YEAR] = 1
    return [int(day) for day in seen]
