"""Buyers predicted from visitors by a simple linear regression, with intervals, checks and leave-one-out errors.

    buyers = intercept + slope x visitors

Thirty days are too few for a holdout: the error then depends on which days are held out (`one_third` shows how much).
So the error is measured by leaving out one day at a time. Least squares needs no refitting for this: the error of a day
that is left out is its residual / (1 - its leverage) (Allen 1974, PRESS).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import statsmodels.api as sm
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from statsmodels.stats.diagnostic import het_breuschpagan
from statsmodels.stats.stattools import durbin_watson

from pipeline.errors import RefusedError
from pipeline.footfall.features import FEATURE_COLUMNS
from pipeline.training.metrics import regression_metrics

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MODEL = "footfall_buyers"
FIT_FILE = "fit.json"
"""The file, stored with a registered model, that holds its `Fit`."""
MIN_DAYS = 10
CONFIDENCE = 0.95
MIN_P = 0.05
"""The p-value below which a check of the residuals fails."""
PUBLISHED_SEED, PUBLISHED_TEST_SHARE = 42, 2 / 3
"""The split of the published analysis: a third of the days to train on, drawn with this seed."""


@dataclass(frozen=True)
class Coefficient:
    """An estimate, its standard error, and the ends of its 95 % interval."""

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class Check:
    """The result of a check of the residuals; `p` is None for a check without a test, `sentence` is for the page."""

    name: str
    statistic: float
    p: float | None
    sentence: str


@dataclass(frozen=True)
class Fit:
    """The fitted line, and all that its prediction intervals need.

    Attributes:
        intercept, slope: the coefficients (buyers; buyers per visitor).
        days: number of training days.
        residual_variance: variance of the residuals, with days - 2 degrees of freedom.
        visitors_mean, visitors_squares: mean of the training days' visitors, and their squared deviations, summed.
        r2: coefficient of determination on the training days.
        checks: of the residuals.
    """

    intercept: Coefficient
    slope: Coefficient
    days: int
    residual_variance: float
    visitors_mean: float
    visitors_squares: float
    r2: float
    checks: tuple[Check, ...]

    def interval(self, visitors: NDArray[np.float64], *, of_a_day: bool = True) -> NDArray[np.float64]:
        """Return the lower and upper ends of the 95 % interval, (rows, 2), in buyers.

        Args:
            visitors: (rows,), numbers of visitors.
            of_a_day: the prediction interval of a single day's buyers; if false, the confidence interval of their mean
                over many such days.
        """
        line = self.intercept.value + self.slope.value * visitors
        leverage = 1 / self.days + (visitors - self.visitors_mean) ** 2 / self.visitors_squares
        standard_error = np.sqrt(self.residual_variance * (leverage + (1 if of_a_day else 0)))
        half_width = stats.t.ppf((1 + CONFIDENCE) / 2, self.days - 2) * standard_error
        return np.column_stack([line - half_width, line + half_width])

    def to_record(self) -> dict[str, Any]:
        """Return the fit as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Fit:
        """Return the fit of a record made by `to_record`."""
        parts = {name: Coefficient(**record[name]) for name in ("intercept", "slope")}
        return cls(**{**record, **parts, "checks": tuple(Check(**check) for check in record["checks"])})


def train(days: pd.DataFrame) -> tuple[LinearRegression, Fit]:
    """Fit the line.

    Args:
        days: rows of `footfall_features`.

    Returns:
        The model that is registered, and what is stored with it.

    Raises:
        RefusedError: there are too few days, or the number of visitors never varies.
    """
    visitors, buyers = _checked(days)
    fitted = sm.OLS(buyers, sm.add_constant(visitors)).fit()
    ends = fitted.conf_int(alpha=1 - CONFIDENCE)
    intercept, slope = (
        Coefficient(float(fitted.params[n]), float(fitted.bse[n]), float(ends[n][0]), float(ends[n][1])) for n in (0, 1)
    )
    fit = Fit(
        intercept,
        slope,
        len(days),
        float(fitted.mse_resid),
        float(visitors.mean()),
        float(((visitors - visitors.mean()) ** 2).sum()),
        float(fitted.rsquared),
        _checks(fitted),
    )
    return LinearRegression().fit(days[list(FEATURE_COLUMNS)], days["buyers"]), fit


def leave_one_out(days: pd.DataFrame, predicted: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Predict the buyers of each day from a line that is fitted to all other days.

    Args:
        days: rows of `footfall_features`.
        predicted: (rows,), predictions of a line that was fitted to all of these days; it is fitted here when missing.

    Returns:
        (rows,), predicted buyers in the order of the days.

    Raises:
        RefusedError: there are too few days, or the number of visitors never varies.
    """
    visitors, buyers = _checked(days)
    fitted = sm.OLS(buyers, sm.add_constant(visitors)).fit()
    residuals = fitted.resid if predicted is None else buyers - predicted
    left_out: NDArray[np.float64] = buyers - residuals / (1 - fitted.get_influence().hat_matrix_diag)
    return left_out


def measure(actual: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Return rmse and mae (buyers), mape (fraction) and r2 of predicted buyers, see `regression_metrics`."""
    return regression_metrics(actual, predicted)


def one_third(days: pd.DataFrame, seed: int = PUBLISHED_SEED) -> float:
    """Return the RMSE (buyers) after training on a random third of the days and testing on the others.

    With the default seed it is the published 2.9033. A third of thirty days is too little to train on: the figure says
    more about the draw than about the model.
    """
    train_days, test_days = train_test_split(days, test_size=PUBLISHED_TEST_SHARE, random_state=seed)
    model = LinearRegression().fit(train_days[list(FEATURE_COLUMNS)], train_days["buyers"])
    return measure(test_days["buyers"].to_numpy(), model.predict(test_days[list(FEATURE_COLUMNS)]))["rmse"]


def _checked(days: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return visitors and buyers, or refuse days that cannot give a line."""
    if len(days) < MIN_DAYS or days["visitors"].nunique() < 2:
        raise RefusedError(
            "There are too few days to predict buyers from visitors",
            where="footfall",
            observed=f"{len(days)} days with {days['visitors'].nunique()} different numbers of visitors",
            allowed=f"{MIN_DAYS} days or more, with 2 different numbers of visitors or more",
            todo="ingest more days",
        )
    return days["visitors"].to_numpy(dtype=np.float64), days["buyers"].to_numpy(dtype=np.float64)


def _checks(fitted: Any) -> tuple[Check, ...]:
    normality = stats.shapiro(fitted.resid)
    heteroscedasticity, p, *_ = het_breuschpagan(fitted.resid, fitted.model.exog)
    autocorrelation = float(durbin_watson(fitted.resid))
    return (
        Check(
            "Shapiro-Wilk",
            float(normality.statistic),
            float(normality.pvalue),
            "the residuals are not normally distributed: the intervals are only approximate"
            if normality.pvalue < MIN_P
            else "no evidence against normally distributed residuals",
        ),
        Check(
            "Breusch-Pagan",
            float(heteroscedasticity),
            float(p),
            "the variance of the residuals depends on the number of visitors: the intervals are only approximate"
            if p < MIN_P
            else "no evidence against a constant variance of the residuals",
        ),
        Check(
            "Durbin-Watson",
            autocorrelation,
            None,
            "the residuals of neighbouring days are similar: the standard errors are too small"
            if autocorrelation < 1.5
            else "the residuals of neighbouring days have opposite signs: the standard errors are too large"
            if autocorrelation > 2.5
            else "no sign of dependence between neighbouring days",
        ),
    )
