"""A linear model a store, as it would have been on each of many past days: the ground the other models stand on.

Log sales of a store = level + weekday x promotion + part of month + closures + holidays + Christmas and Easter + trend
+ season. The effects of all stores together are estimated first (each store about its own mean), then each store's
deviations from them, shrunk towards none (ridge), days losing half their weight every `half_life` days. Both are normal
equations, which are sums over days: one pass over history gives the models as of every day that was asked for, and a
model as of a day has read nothing from that day on.

Why here and not another column for the trees: trees cannot extrapolate a trend nor learn 1,115 levels from few days
each, while a linear model can; what is left to them is what a linear model cannot say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.stores.grids import BLOCK_DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.stores.calendar import Calendar, Columns
    from pipeline.stores.grids import Grids

    Floats = NDArray[np.floating]

HALF_LIVES = (250, 120, 800)  # days; the first is the ground, the others are features
LEVEL_DAYS = (14, 28, 56, 112, 182, 364)  # days back over which a store's level is averaged; whole blocks
CUSTOMER_DAYS = 182  # days over which sales a customer are averaged
FIXED_POINT = 1_000_000
SHRINKAGE = 0.3
OUTLIER_SCALES = 3.0  # standard deviations of the store's own residuals ...
OUTLIER_WEIGHT = 0.05  # ... beyond which a day counts this much
CHUNK_BYTES = 1_000_000  # bytes of design that are worked on at once
EFFECTS = ("promo", "school", "month_start", "month_end", "next_closed", "saturday", "sunday", "trend")
LINEAR_COLUMNS: tuple[str, ...] = (
    "linear",
    *(f"linear_{half_life}" for half_life in HALF_LIVES[1:]),
    *(f"level_{days}" for days in LEVEL_DAYS),
    *(f"effect_{name}" for name in EFFECTS),
    "store_level",
    "scale",
    "sales_a_customer",
)

_LEVEL_COLUMNS = ("one", "trend", "sin1", "cos1", "sin2", "cos2")  # what makes the level; the rest is adjusted for
_WEEKDAYS = ("tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class LinearModels:
    """The linear models of all stores as of one day, and where each store stands about them.

    Attributes:
        means: (half-lives, S). coefficients: (half-lives, S, P), about the mean.
        scales: (S,), standard deviation of the first half-life's residuals.
        levels: (S, `LEVEL_DAYS`), mean log sales without the effects of weekday, promotion and the like; NaN: no sales.
        a_customer: (S,), mean log sales a customer over half a year, NaN: unknown.
    """

    means: Floats
    coefficients: Floats
    scales: Floats
    levels: Floats
    a_customer: Floats

    def rows(self, store: NDArray[np.int64], days: Columns, last: int) -> Columns:
        """`LINEAR_COLUMNS` of some days, by the places of their stores.

        Args:
            days: `Calendar.rows` of them. last: the t from which on nothing is known.
        """
        x = design_matrix(days, last)
        ground = self.coefficients[0]
        means = self.means[:, store]
        forecasts = [
            mean + np.einsum("np,np->n", x, own[store]) for mean, own in zip(means, self.coefficients, strict=True)
        ]
        adjustment = np.einsum("np,np->n", x, (ground * ~_IS_LEVEL)[store])
        columns: Columns = {"linear": forecasts[0]}
        for half_life, forecast in zip(HALF_LIVES[1:], forecasts[1:], strict=True):
            columns[f"linear_{half_life}"] = forecast - forecasts[0]
        for k, back in enumerate(LEVEL_DAYS):
            columns[f"level_{back}"] = self.levels[store, k] - (forecasts[0] - adjustment)
        for name in EFFECTS:
            columns[f"effect_{name}"] = ground[store, DESIGN_COLUMNS.index(name)]
        return columns | {
            "store_level": means[0],
            "scale": self.scales[store],
            "sales_a_customer": self.a_customer[store],
        }


@dataclass(frozen=True)
class AdjustedSales:
    """Log sales of history without the effects of weekday, promotion and the like, about each store's mean.

    Attributes:
        values: (S, days before as_of), in whole 1 / PARTS (int64: sums do not depend on their order).
        regular: days that count: neither without sales nor outliers.
    """

    values: NDArray[np.int64]
    regular: NDArray[np.bool_]


def fit_linear_models(
    grids: Grids, calendar: Calendar, origins: Sequence[int]
) -> tuple[list[LinearModels], AdjustedSales]:
    """The models as of each origin, in the order given, and what as of as_of is left of history's sales.

    Args:
        grids: stores and their sales. calendar: of all their days.
        origins: a t each, the days whose morning the models are of: 0 and whole blocks before it.
    """
    # Matrices of one store are small: threads would wait for each other longer than they work.
    with threadpool_limits(1, user_api="blas"):
        log_sales = _log(grids.sales)
        a_customer = log_sales - _log(grids.customers)
        history = _History(_history_design(calendar), log_sales, np.isfinite(log_sales)).without_outliers()
        models = _solve(history, origins, HALF_LIVES)
        effects = _BlockSums(history)
        found = []
        for origin in origins:
            means, coefficients, scales = models[origin]
            levels = effects.levels(origin, coefficients[0] * ~_IS_LEVEL)
            found.append(LinearModels(means, coefficients, scales, levels, _recent_mean(a_customer, origin)))
        _, (as_of, *_), _ = models[max(origins)]
        return found, history.adjusted(as_of * ~_IS_LEVEL)


@dataclass(frozen=True)
class _History:
    """design: (S, T, P) float32; log_sales: (S, T), NaN where unknown or closed; regular: days that count in full."""

    design: Floats
    log_sales: Floats
    regular: NDArray[np.bool_]

    def fitted(self, coefficients: Floats) -> Floats:
        """What the coefficients, (S, P), say of each day."""
        found: Floats = np.matmul(self.design, coefficients.astype(np.float32)[..., None])[..., 0]
        return found

    def without_outliers(self) -> _History:
        """Days far from what the store's own model says are not regular: they count little and make no level."""
        means, coefficients, scales = _solve(self, [0], HALF_LIVES[:1])[0]
        residual = self.log_sales - means[0][:, None] - self.fitted(coefficients[0])
        far = np.abs(residual) > OUTLIER_SCALES * scales[:, None]
        return _History(self.design, self.log_sales, self.regular & ~far)

    def adjusted(self, tied: Floats) -> AdjustedSales:
        """Without the effects of these coefficients."""
        left = np.where(self.regular, self.log_sales - self.fitted(tied), 0)
        centred = left - (left.sum(1) / np.maximum(self.regular.sum(1), 1))[:, None]
        return AdjustedSales(np.rint(np.where(self.regular, centred, 0) * FIXED_POINT).astype(np.int64), self.regular)


def _history_design(calendar: Calendar) -> Floats:
    """The design of all days before as_of: (S, T, P)."""
    past = -calendar.first
    dates = {name: values[:past] for name, values in calendar.dates.items()} | {"t": np.arange(-past, 0)}
    stores = len(calendar.distances["promo"])
    found = np.empty((stores, past, len(DESIGN_COLUMNS)), np.float32)
    few = max(1, CHUNK_BYTES // found[0].nbytes)
    for some in (slice(k, k + few) for k in range(0, stores, few)):
        found[some] = design_matrix(dates | {name: values[some, :past] for name, values in calendar.distances.items()})
    return found


def _solve(
    history: _History, origins: Sequence[int], half_lives: Sequence[int]
) -> dict[int, tuple[Floats, Floats, Floats]]:
    """Means, coefficients and the first half-life's scales as of each origin.

    The sums of the normal equations are taken block by block and fade on the way.
    """
    stores, days, columns = history.design.shape
    counts = np.where(history.regular, 1.0, OUTLIER_WEIGHT) * np.isfinite(history.log_sales)
    logs = np.nan_to_num(history.log_sales)
    grams = np.zeros((len(half_lives), stores, columns, columns))
    moments, squares = np.zeros((len(half_lives), stores, columns)), np.zeros(stores)
    fades = [0.5 ** (BLOCK_DAYS / half_life) for half_life in half_lives]
    recent = [0.5 ** (np.arange(BLOCK_DAYS, 0, -1) / half_life) for half_life in half_lives]
    few = max(1, CHUNK_BYTES // (4 * columns * BLOCK_DAYS))
    found = {}
    for begin in range(0, days, BLOCK_DAYS):
        block = slice(begin, begin + BLOCK_DAYS)
        for some in (slice(k, k + few) for k in range(0, stores, few)):
            x, y = history.design[some, block], logs[some, block]
            for k, (fade, weight) in enumerate(zip(fades, recent, strict=True)):
                weights = counts[some, block] * weight
                weighted = (x * weights[..., None]).astype(np.float32).transpose(0, 2, 1)
                grams[k, some] *= fade
                grams[k, some] += weighted @ x
                moments[k, some] *= fade
                moments[k, some] += (weighted @ y[..., None].astype(np.float32))[..., 0]
                if k == 0:
                    squares[some] = fade * squares[some] + (weights * y**2).sum(1)
        origin = begin + BLOCK_DAYS - days
        if origin not in origins:
            continue
        solved = [_ridge(gram, moment) for gram, moment in zip(grams, moments, strict=True)]
        means, coefficients = (np.array(part) for part in zip(*solved, strict=True))
        scales = _residual_scales(grams[0], moments[0], squares, means[0], coefficients[0])
        found[origin] = means, coefficients, scales
    return found


def _ridge(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """Each store's mean and its coefficients about it: what all stores share plus its own shrunk deviation."""
    count = gram[:, 0, 0]
    some = np.maximum(count, 1e-9)
    known = count > 0
    mean = np.where(known, moment[:, 0] / some, (moment[:, 0].sum() / max(count.sum(), 1e-9)))
    about = moment - mean[:, None] * gram[:, 0]
    share = gram[:, 0] / some[:, None]
    within = (gram.sum(0) - gram[:, 0].T @ share)[1:, 1:]
    between = (about - about[:, [0]] * share)[:, 1:].sum(0)
    little = np.eye(len(within)) * max(np.trace(within), 1.0) / len(within) * 1e-5
    shared = np.concatenate([[0.0], np.linalg.solve(within + little, between)])
    own = np.linalg.solve(gram + np.diag(SHRINKAGE * _PENALTIES), (about - gram @ shared)[..., None])[..., 0]
    return mean, shared + own


def _residual_scales(gram: Floats, moment: Floats, square: Floats, mean: Floats, coefficients: Floats) -> Floats:
    count = gram[:, 0, 0]
    about = moment - mean[:, None] * gram[:, 0]
    total = square - 2 * mean * moment[:, 0] + mean**2 * count
    fitted = (gram @ coefficients[..., None])[..., 0]
    explained = (coefficients * (2 * about - fitted)).sum(1)
    scales: Floats = np.sqrt(np.maximum(total - explained, 0) / np.maximum(count, 1))
    return scales


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

    def levels(self, origin: int, tied: Floats) -> Floats:
        """`LinearModels.levels` as of an origin, given the coefficients that are adjusted for."""
        end = self._counts.shape[1] - 1 + origin // BLOCK_DAYS
        levels = []
        for back in LEVEL_DAYS:
            begin = max(0, end - back // BLOCK_DAYS)
            count = self._counts[:, end] - self._counts[:, begin]
            effects = ((self._design[:, end] - self._design[:, begin]) * tied).sum(1)
            logs = self._logs[:, end] - self._logs[:, begin]
            levels.append((logs - effects) / np.where(count > 0, count, np.nan))
        return np.stack(levels, axis=1)


def _cumulative(values: NDArray[Any]) -> Floats:
    """Sums of all columns before each: (S, columns + 1, ...)."""
    sums = np.zeros((len(values), values.shape[1] + 1, *values.shape[2:]))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _log(values: Floats) -> Floats:
    return np.log(values, where=values > 0, out=np.full(values.shape, np.nan))


def _recent_mean(a_customer: Floats, origin: int) -> Floats:
    end = a_customer.shape[1] + origin
    values = a_customer[:, max(0, end - CUSTOMER_DAYS) : end]
    known = np.isfinite(values)
    mean: Floats = np.where(known, values, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)
    return mean


def _shrinkage_costs() -> dict[str, float]:
    """The columns of the design, each with what a store's own deviation from the shared effect costs."""
    costs = {"one": 0.02, **dict.fromkeys(_WEEKDAYS, 1.0), "promo": 1.0}
    costs |= {f"promo_{day}": 0.4 for day in _WEEKDAYS[:4]}
    costs |= dict.fromkeys(("month_start", "month_early", "month_middle", "month_late", "month_end", "month_last"), 0.4)
    costs |= dict.fromkeys(("next_closed", "previous_closed", "school", "holiday", "easter"), 0.4)
    costs |= dict.fromkeys(("advent", "christmas_week", "christmas_eve", "after_christmas"), 1.0)
    costs |= {"trend": 40.0, **dict.fromkeys(("sin1", "cos1", "sin2", "cos2"), 80.0)}
    for name in ("back_2", "back_3", "back_5", "back_8", "before_1", "before_4", "before_10", "before_24"):
        costs |= {name: 60.0, f"{name}_long": 60.0}
    return costs


_SHRINKAGE_COSTS = _shrinkage_costs()
DESIGN_COLUMNS = tuple(_SHRINKAGE_COSTS)
_PENALTIES = np.array(list(_SHRINKAGE_COSTS.values()))
_IS_LEVEL = np.isin(DESIGN_COLUMNS, _LEVEL_COLUMNS)


def design_matrix(days: Columns, last: int | None = None) -> Floats:
    """The columns of `DESIGN_COLUMNS` for rows or a grid of days; `last` hides what happens from that t on.

    Args:
        days: `Calendar` columns and t, (n,) each; or (S, T), those of dates alone (T,).

    Returns:
        (n, P), or (S, T, P); float32.
    """
    d, t = days, days["t"]
    weekday, promo = d["weekday"], d["promo"]
    month, left = d["day_of_month"], d["days_to_month_end"]
    christmas, easter = -d["christmas_days"], -d["easter_days"]
    next_closed, closing, length = d["closed_until"] == 1, d["closing"], d["closing_length"]
    if last is not None:
        next_closed = next_closed & (t + 1 < last)
        length = np.minimum(length, last - d["closing_start"])
    shut = length >= 4
    year = 2 * np.pi * d["day_of_year"].astype(np.float32) / 365.25
    columns: dict[str, Any] = {"one": 1.0}
    columns |= {name: weekday == k for k, name in enumerate(_WEEKDAYS, start=1)}
    columns["promo"] = promo
    columns |= {f"promo_{name}": promo * (weekday == k) for k, name in enumerate(_WEEKDAYS[:4], start=1)}
    columns["month_start"] = month <= 2
    columns["month_early"] = (month > 2) & (month <= 5)
    columns["month_middle"] = (month >= 13) & (month <= 17)
    columns["month_late"] = (month >= 19) & (month <= 25)
    columns["month_end"] = left <= 1
    columns["month_last"] = (left > 1) & (left <= 3)
    columns["next_closed"] = next_closed
    columns["previous_closed"] = d["closed_since"] == 1
    columns["school"] = d["school"]
    columns["holiday"] = d["holiday"] > 0
    columns["easter"] = (easter > 0) & (easter <= 8)
    columns["advent"] = np.where((christmas > 0) & (christmas <= 28), (29 - christmas) / 28, 0)
    columns["christmas_week"] = (christmas > 0) & (christmas <= 7)
    columns["christmas_eve"] = (christmas > 0) & (christmas <= 2)
    columns["after_christmas"] = (christmas < 0) & (christmas >= -6)
    columns["trend"] = t / 365
    columns |= {"sin1": np.sin(year), "cos1": np.cos(year), "sin2": np.sin(2 * year), "cos2": np.cos(2 * year)}
    weeks = np.log(np.maximum(d["reopened_length"], 1).astype(np.float32) / 7)
    back = d["reopened"]
    for name, low, high in (("back_2", 1, 2), ("back_3", 3, 3), ("back_5", 4, 5), ("back_8", 6, 8)):
        near = (back >= low) & (back <= high)
        columns |= {name: near, f"{name}_long": near * weeks}
    for name, low, high in (("before_1", 1, 1), ("before_4", 2, 4), ("before_10", 5, 10), ("before_24", 11, 24)):
        near = shut & (closing >= low) & (closing <= high)
        columns |= {name: near, f"{name}_long": near & (length >= 14)}
    found = np.empty((*promo.shape, len(DESIGN_COLUMNS)), np.float32)
    for k, name in enumerate(DESIGN_COLUMNS):
        found[..., k] = columns[name]
    return found
