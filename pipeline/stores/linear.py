"""Fit a linear model of log sales for each store, as of many past days; the other models build on its forecasts.

Log sales of a store = level + weekday x promotion + part of month + closures + holidays + Christmas and Easter + trend
+ season. The effects of all stores together are estimated first, then each store's deviations from them, shrunk towards
zero (see ridge.py). A day loses half its weight every `half_life` days. A model as of a day uses days before it only.

Why the trees get these forecasts as a base, and not only as a column: trees cannot extrapolate a trend, and cannot
learn the levels of 1,115 stores from a few days each, while a linear model can. The trees learn what it cannot express.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.stores.chain import mean_of_stores, relative_name
from pipeline.stores.grids import BLOCK_DAYS
from pipeline.stores.linear_design import DESIGN_COLUMNS, IS_LEVEL, design_matrix, history_design
from pipeline.stores.ridge import fit_ridge, fit_ridge_at_end
from pipeline.stores.season import RESIDUAL_DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.stores.calendar import Calendar, Columns
    from pipeline.stores.grids import Grids
    from pipeline.stores.ridge import RidgeFit

    Floats = NDArray[np.floating]

HALF_LIVES = (250, 120, 800)
"""Days. The forecast with the first is the base of the other models; the others are features."""
LEVEL_DAYS = (14, 28, 56, 112, 182, 364)
"""Days back over which a store's level is averaged, multiples of `BLOCK_DAYS`."""
CUSTOMER_DAYS = 182
"""Days back over which sales per customer are averaged."""
FIXED_POINT = 1_000_000
"""Adjusted log sales are stored as integers in this fraction, so that sums do not depend on the order of addition."""
OUTLIER_SCALES = 3.0
"""Standard deviations of the store's own residuals beyond which a day is an outlier."""
EFFECTS = ("promo", "school", "month_start", "month_end", "next_closed", "saturday", "sunday", "trend")
DEPARTURE_COLUMNS: tuple[str, ...] = (
    *(f"linear_{half_life}" for half_life in HALF_LIVES[1:]),
    *(f"level_{days}" for days in LEVEL_DAYS),
)
"""What the other linear forecasts and the store's recent levels depart from `linear`."""
LINEAR_COLUMNS: tuple[str, ...] = (
    "linear",
    *DEPARTURE_COLUMNS,
    *(f"effect_{name}" for name in EFFECTS),
    "store_level",
    "scale",
    "sales_a_customer",
)


@dataclass(frozen=True)
class LinearModels:
    """The linear models of all stores as of one day, and each store's recent sales relative to them.

    Attributes:
        means: (half-lives, S), weighted means of log sales.
        coefficients: (half-lives, S, P), effects on log sales about the mean.
        scales: (S,), standard deviations of the residuals with the first half-life.
        levels: (S, `LEVEL_DAYS`), mean log sales without the effects of the day; NaN without sales.
        a_customer: (S,), mean log sales per customer over `CUSTOMER_DAYS`; NaN if unknown.
    """

    means: Floats
    coefficients: Floats
    scales: Floats
    levels: Floats
    a_customer: Floats

    def rows(self, store: NDArray[np.int64], days: Columns, end: int) -> Columns:
        """Return `LINEAR_COLUMNS` of n days, in logs, and `DEPARTURE_COLUMNS` relative to the chain.

        Args:
            store: index of each day's store, (n,).
            days: `Calendar.rows` of the days.
            end: the t from which on closures are not known.
        """
        x = design_matrix(days, end)
        base = self.coefficients[0]
        means = self.means[:, store]
        forecasts = [
            mean + np.einsum("np,np->n", x, own[store]) for mean, own in zip(means, self.coefficients, strict=True)
        ]
        adjustment = np.einsum("np,np->n", x, (base * ~IS_LEVEL)[store])
        columns: Columns = {"linear": forecasts[0]}
        for half_life, forecast in zip(HALF_LIVES[1:], forecasts[1:], strict=True):
            columns[f"linear_{half_life}"] = forecast - forecasts[0]
        for k, back in enumerate(LEVEL_DAYS):
            columns[f"level_{back}"] = self.levels[store, k] - (forecasts[0] - adjustment)
        for name in EFFECTS:
            columns[f"effect_{name}"] = base[store, DESIGN_COLUMNS.index(name)]
        columns |= {
            "store_level": means[0],
            "scale": self.scales[store],
            "sales_a_customer": self.a_customer[store],
        }
        constants, slopes = self._chain
        chain = constants[:, None] + np.einsum("cl,nl->cn", slopes, x[:, IS_LEVEL])
        relative = {
            relative_name(name): columns[name] - mean for name, mean in zip(DEPARTURE_COLUMNS, chain, strict=True)
        }
        return columns | relative

    @cached_property
    def _chain(self) -> tuple[Floats, Floats]:
        """The means over the stores of `DEPARTURE_COLUMNS`, without effects of the day.

        Returns:
            What does not depend on the day, (columns,), and the coefficients of the level's columns of the design,
            (columns, L).
        """
        own = self.coefficients[:, :, IS_LEVEL]
        constants = np.array([*(self.means[1:] - self.means[0]), *(self.levels.T - self.means[0])])
        slopes = np.array([*(own[1:] - own[0]), *[-own[0]] * len(LEVEL_DAYS)])
        slopes[~np.isfinite(constants)] = np.nan
        return mean_of_stores(constants, 1), mean_of_stores(slopes, 1)


@dataclass(frozen=True)
class AdjustedSales:
    """Log sales of history without the effects of weekday, promotion and the like, about each store's mean.

    Attributes:
        values: (S, days before as_of), int64, in units of 1 / `FIXED_POINT`.
        regular: (S, days before as_of), whether a day has sales and is not an outlier; the values of others are 0.
    """

    values: NDArray[np.int64]
    regular: NDArray[np.bool_]


def fit_linear_models(
    grids: Grids, calendar: Calendar, origins: Sequence[int]
) -> tuple[list[LinearModels], AdjustedSales, list[Floats]]:
    """Fit the models as of each origin, and adjust the sales of history by the model as of the last one.

    Args:
        grids: the stores and their sales.
        calendar: of all their days.
        origins: each a t, 0 or a multiple of `BLOCK_DAYS` before it; a model uses days before its origin only.

    Returns:
        The models in the order of the origins; the adjusted sales; and for each origin the residuals of its model on
        `season.RESIDUAL_DAYS`, (S, days), NaN where there are none.
    """
    # The matrices of one store are small: with several BLAS threads, most of the time is spent waiting for each other.
    with threadpool_limits(1, user_api="blas"):
        log_sales = _log(grids.sales)
        log_sales_per_customer = log_sales - _log(grids.customers)
        history = _History(history_design(calendar), log_sales, np.isfinite(log_sales)).without_outliers()
        fits = fit_ridge(history.design, history.log_sales, history.regular, [t for t in origins if t], HALF_LIVES)
        if 0 in origins:
            fits[0] = fit_ridge_at_end(history.design, history.log_sales, history.regular, HALF_LIVES)
        sums = _BlockSums(history)
        models, residuals = [], []
        for origin in origins:
            fit = fits[origin]
            residuals.append(history.residuals(fit, origin))
            levels = sums.levels(origin, fit.coefficients[0] * ~IS_LEVEL)
            per_customer = _recent_mean(log_sales_per_customer, origin)
            models.append(LinearModels(fit.means, fit.coefficients, fit.scales, levels, per_customer))
        newest = fits[max(origins)].coefficients[0]
        return models, history.adjusted(newest * ~IS_LEVEL), residuals


@dataclass(frozen=True)
class _History:
    """The days before as_of.

    Attributes:
        design: (S, T, P), float32.
        log_sales: (S, T), NaN where unknown or closed.
        regular: (S, T), whether a day counts in full.
    """

    design: Floats
    log_sales: Floats
    regular: NDArray[np.bool_]

    def fitted(self, coefficients: Floats) -> Floats:
        """Return the fitted values of (S, P) coefficients: (S, T)."""
        values: Floats = np.matmul(self.design, coefficients.astype(np.float32)[..., None])[..., 0]
        return values

    def without_outliers(self) -> _History:
        """Mark days far from the store's own fit as not regular: they get little weight and do not enter levels."""
        fit = fit_ridge_at_end(self.design, self.log_sales, self.regular, HALF_LIVES[:1])
        residual = self.log_sales - fit.means[0][:, None] - self.fitted(fit.coefficients[0])
        outlier = np.abs(residual) > OUTLIER_SCALES * fit.scales[:, None]
        return _History(self.design, self.log_sales, self.regular & ~outlier)

    def residuals(self, fit: RidgeFit, origin: int) -> Floats:
        """Return the residuals of a fit as of an origin on the days a year before it, `season.RESIDUAL_DAYS`."""
        begin, end = (self.log_sales.shape[1] + origin - back for back in RESIDUAL_DAYS)
        missing = np.clip(-begin, 0, end - begin)
        days = slice(begin + missing, end)
        coefficients = fit.coefficients[0].astype(np.float32)[..., None]
        fitted = fit.means[0][:, None] + np.matmul(self.design[:, days], coefficients)[..., 0]
        return np.pad(self.log_sales[:, days] - fitted, ((0, 0), (missing, 0)), constant_values=np.nan)

    def adjusted(self, effects: Floats) -> AdjustedSales:
        """Remove effects, (S, P) coefficients, from the sales of regular days."""
        remainder = np.where(self.regular, self.log_sales - self.fitted(effects), 0)
        centred = remainder - (remainder.sum(1) / np.maximum(self.regular.sum(1), 1))[:, None]
        return AdjustedSales(np.rint(np.where(self.regular, centred, 0) * FIXED_POINT).astype(np.int64), self.regular)


class _BlockSums:
    """Running sums over blocks of regular days: of their number, log sales and design."""

    def __init__(self, history: _History) -> None:
        stores, days, columns = history.design.shape
        shape = (stores, days // BLOCK_DAYS, BLOCK_DAYS)
        regular = history.regular.reshape(shape)
        self._counts = _cumulative(regular.sum(-1))
        self._logs = _cumulative(np.where(regular, history.log_sales.reshape(shape), 0).sum(-1))
        design = np.empty((stores, shape[1], columns), np.float32)
        weights = regular.astype(np.float32)
        for block in range(shape[1]):
            x = history.design[:, block * BLOCK_DAYS : (block + 1) * BLOCK_DAYS]
            design[:, block] = np.matmul(weights[:, block, None], x)[:, 0]
        self._design = _cumulative(design)

    def levels(self, origin: int, effects: Floats) -> Floats:
        """Return `LinearModels.levels` as of an origin, given the (S, P) coefficients of the effects to remove."""
        end = self._counts.shape[1] - 1 + origin // BLOCK_DAYS
        levels = []
        for back in LEVEL_DAYS:
            begin = max(0, end - back // BLOCK_DAYS)
            count = self._counts[:, end] - self._counts[:, begin]
            explained = ((self._design[:, end] - self._design[:, begin]) * effects).sum(1)
            logs = self._logs[:, end] - self._logs[:, begin]
            levels.append((logs - explained) / np.where(count > 0, count, np.nan))
        return np.stack(levels, axis=1)


def _cumulative(values: NDArray[Any]) -> Floats:
    """Return the sums over all columns before each column: (S, columns + 1, ...)."""
    sums = np.zeros((len(values), values.shape[1] + 1, *values.shape[2:]))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _log(values: Floats) -> Floats:
    return np.log(values, where=values > 0, out=np.full(values.shape, np.nan))


def _recent_mean(log_sales_per_customer: Floats, origin: int) -> Floats:
    end = log_sales_per_customer.shape[1] + origin
    values = log_sales_per_customer[:, max(0, end - CUSTOMER_DAYS) : end]
    known = np.isfinite(values)
    mean: Floats = np.where(known, values, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)
    return mean
