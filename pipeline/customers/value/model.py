"""The model `customer_value`: purchases and revenue of each customer over the next 91 days, with an interval.

Three gradient-boosted models of the columns of `customer_features` (does the customer buy, for how much, how often),
fitted on windows of earlier days, times a season. Revenue is net of returns, as in `customer_features`.

The season is the ratio of revenue per day in September to December (the gift trade's last quarter) to that of the other
months, estimated with a linear trend from all days before the as-of day; it is what BG/NBD lacks. With less than a
month of either it is 1.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pandas as pd
from scipy.stats import norm, spearmanr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

HORIZON_DAYS = 92
"""The as-of day and the 91 days after it."""
SEASON_MONTHS = (9, 10, 11, 12)
MIN_SEASON_DAYS = 20
SEASON_RANGE = (0.5, 2.0)
SHARE = 0.8
"""Of customers whose revenue lies within their interval."""
COLUMNS = (
    "recency_days", "invoices", "units", "revenue", "average_ticket", "distinct_products", "days_between_invoices",
    "cancellations", "cancellation_rate", "monthly_spend_mean", "monthly_spend_std", "monthly_spend_trend",
    "return_units", "purchase_frequency", "median_basket_units",
)  # fmt: skip
ROUNDS = {"buys": 150, "amount": 200, "purchases": 150}
PARAMETERS = {
    "num_leaves": 8,
    "learning_rate": 0.04,
    "min_data_in_leaf": 100,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbose": -1,
}


@dataclass(frozen=True)
class ValueWindow:
    """Customers on a day, and what they did in the horizon.

    Attributes:
        as_of: the day.
        features: (customers,) rows of `customer_features`, with `customer_id`.
        purchases: (customers,), invoices with a sale.
        revenue: (customers,), sales minus returns.
        season: the factor of the horizon, by what was known on the day.
    """

    as_of: dt.date
    features: pd.DataFrame
    purchases: Array
    revenue: Array
    season: float


@dataclass(frozen=True)
class CustomerValue:
    """The fitted model; the names of its attributes are part of saved models.

    Attributes:
        buys: the chance that a customer buys within the horizon, out of season.
        amount: the mean logarithm of the revenue of those who do.
        purchases: the number of purchases, out of season.
        spread: the standard deviation of that logarithm.
        mean_ratio: mean revenue of those who buy / exp(mean logarithm).
    """

    buys: lightgbm.Booster
    amount: lightgbm.Booster
    purchases: lightgbm.Booster
    spread: float
    mean_ratio: float

    def predict(self, features: pd.DataFrame) -> Array:
        """(rows,), the expected revenue out of season."""
        return np.asarray(self.expect(features, 1.0)["revenue"], dtype=np.float64)

    def expect(self, features: pd.DataFrame, season: float) -> pd.DataFrame:
        """What to expect of each customer.

        Args:
            features: `COLUMNS`.
            season: the factor of the horizon.

        Returns:
            purchase_chance, purchases, revenue, revenue_low and revenue_high; an interval that is to hold `SHARE` of
            the outcomes. It starts at 0 where buying nothing is likely enough.
        """
        x = features[list(COLUMNS)].to_numpy(dtype=np.float64)
        base = np.asarray(self.buys.predict(x, num_threads=1))
        # A season multiplies the rate of purchases, so the chance of none is raised to its power.
        chance = 1 - (1 - base) ** season
        log_amount = np.asarray(self.amount.predict(x, num_threads=1)) + np.log(season * base / chance)
        low, high = self._interval(chance, log_amount)
        return pd.DataFrame(
            {
                "purchase_chance": chance,
                "purchases": np.asarray(self.purchases.predict(x, num_threads=1)) * season,
                "revenue": chance * np.exp(log_amount) * self.mean_ratio,
                "revenue_low": low,
                "revenue_high": high,
            },
            index=features.index,
        )

    def _interval(self, chance: Array, log_amount: Array) -> tuple[Array, Array]:
        tail = (1 - SHARE) / 2
        nothing = 1 - chance
        cut = nothing < tail

        def quantile(probability: Array) -> Array:
            inside = np.clip((probability - nothing) / chance, 1e-9, 1 - 1e-9)
            return np.asarray(np.exp(log_amount + self.spread * norm.ppf(inside)), dtype=np.float64)

        low = np.where(cut, quantile(np.full_like(chance, tail)), 0.0)
        high = np.where(nothing >= SHARE, 0.0, quantile(np.where(cut, 1 - tail, SHARE)))
        return low, high


def fit_value(windows: Sequence[ValueWindow], seed: int) -> CustomerValue:
    """Fit on windows of earlier days."""
    features = pd.concat([window.features[list(COLUMNS)] for window in windows]).to_numpy(dtype=np.float64)
    # Revenue as it would have been out of season.
    revenue = np.concatenate([window.revenue / window.season for window in windows])
    purchases = np.concatenate([window.purchases / window.season for window in windows])
    bought = purchases > 0
    amount = np.maximum(revenue[bought], 1.0)
    log_amount = np.log(amount)

    def train(name: str, objective: str, x: Array, y: Array) -> lightgbm.Booster:
        data = lightgbm.Dataset(x, y, feature_name=list(COLUMNS))
        return lightgbm.train(PARAMETERS | {"objective": objective, "seed": seed}, data, ROUNDS[name])

    amounts = train("amount", "regression", features[bought], log_amount)
    fitted = np.asarray(amounts.predict(features[bought], num_threads=1))
    # One order in a hundred is so large that it would move everybody's mean.
    usual = np.minimum(amount, np.quantile(amount, 0.99))
    return CustomerValue(
        buys=train("buys", "binary", features, bought.astype(np.float64)),
        amount=amounts,
        purchases=train("purchases", "poisson", features, purchases),
        spread=float(np.std(log_amount - fitted)),
        mean_ratio=float(np.mean(usual / np.exp(fitted))),
    )


def season_effect(days: Sequence[dt.date], revenue: Array) -> float:
    """The ratio of revenue per day in `SEASON_MONTHS` to that in other months, beside a linear trend of its logarithm.

    Args:
        days: with sales.
        revenue: of each, above 0; the largest fiftieth is cut off.
    """
    season = np.array([day.month in SEASON_MONTHS for day in days], dtype=np.float64)
    if min(season.sum(), (1 - season).sum()) < MIN_SEASON_DAYS:
        return 1.0
    years = np.array([(day - days[0]).days / 365 for day in days])
    columns = np.column_stack([np.ones(len(days)), years, season])
    logs = np.log(np.minimum(revenue, np.quantile(revenue, 0.98)))
    coefficients = np.linalg.lstsq(columns, logs, rcond=None)[0]
    return float(np.clip(np.exp(coefficients[2]), *SEASON_RANGE))


def season_factor(effect: float, as_of: dt.date) -> float:
    """The mean effect over the horizon from a day."""
    days = [as_of + dt.timedelta(days=number) for number in range(HORIZON_DAYS)]
    return float(np.mean([effect if day.month in SEASON_MONTHS else 1.0 for day in days]))


def measure(expected: pd.DataFrame, window: ValueWindow) -> dict[str, float]:
    """Compare what was expected with what happened.

    Returns:
        rank_correlation (Spearman) of revenue; total_error, the absolute relative error of the total, and bias, the
        same with its sign; mae in money, and relative_mae, the same divided by the mean revenue; coverage_80, the share
        of customers within their interval; top_decile_lift, mean revenue of the tenth with the highest expectation
        divided by that of all; purchases_bias, the relative error of all purchases.
    """
    actual, predicted = window.revenue, expected["revenue"].to_numpy()
    error, mean = float(np.abs(predicted - actual).mean()), float(actual.mean())
    bias = float(predicted.sum() / actual.sum() - 1) if actual.sum() else float("nan")
    top = np.argsort(-predicted, kind="stable")[: max(1, len(actual) // 10)]
    metrics = {
        "customers": float(len(actual)),
        # The same expectation for everybody has no order.
        "rank_correlation": float(spearmanr(predicted, actual)[0]) if np.ptp(predicted) else float("nan"),
        "total_error": abs(bias),
        "bias": bias,
        "mae": error,
        "relative_mae": error / mean if mean else float("nan"),
        "top_decile_lift": float(actual[top].mean() / mean) if mean else float("nan"),
    }
    if "revenue_low" in expected:
        inside = (actual >= expected["revenue_low"]) & (actual <= expected["revenue_high"])
        metrics["coverage_80"] = float(inside.mean())
    if "purchases" in expected:
        metrics["purchases_bias"] = float(expected["purchases"].sum() / max(1.0, window.purchases.sum()) - 1)
    return metrics


def deciles(predicted: Array, actual: Array) -> list[dict[str, float]]:
    """Mean expected and actual revenue of each tenth of the customers, the highest expectation first."""
    parts = np.array_split(np.argsort(-predicted, kind="stable"), 10)
    return [
        {"expected": float(predicted[part].mean()), "actual": float(actual[part].mean()), "customers": float(len(part))}
        for part in parts
        if len(part)
    ]
