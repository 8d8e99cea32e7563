"""A linear model a store, as it would have been on each of many past days: the ground the other models stand on.

Log sales of a store = level + weekday x promotion + part of month + closures + holidays + Christmas and Easter + trend
+ season. The effects of all stores together are estimated first (each store about its own mean), then each store's
deviations from them, shrunk towards none (ridge), days losing half their weight every `half_life` days. Both are normal
equations, which are sums over days: one pass over history, block by block, gives the model as of every block's end,
and a model as of a day has read nothing from that day on.

Why here and not another column for the trees: trees cannot extrapolate a trend nor learn 1,115 levels from few days
each, while a linear model can; what is left to them is what a linear model cannot say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

BLOCK = 14  # days between two origins
HALF_LIVES = (250, 120, 800)  # days; the first is the ground, the others are features
LEVELS = (14, 28, 56, 112, 182, 364)  # days back over which a store's level is averaged; whole blocks
PARTS = 1_000_000
SHRINK = 0.3
OUTLIER = 3.0  # standard deviations of the store's own residuals ...
OUTLIER_WEIGHT = 0.05  # ... beyond which a day counts this much
EFFECTS = ("promo", "school", "month_start", "month_end", "next_closed", "saturday", "sunday", "trend")
LINEAR: tuple[str, ...] = (
    "linear",
    *(f"linear_{half_life}" for half_life in HALF_LIVES[1:]),
    *(f"level_{days}" for days in LEVELS),
    *(f"effect_{name}" for name in EFFECTS),
    "store_level",
    "scale",
    "sales_a_customer",
)

_LOOSE = ("one", "trend", "sin1", "cos1", "sin2", "cos2")  # what makes the level; the rest is adjusted for
_WEEKDAYS = ("tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Linear:
    """What the linear models say.

    Attributes:
        rows: store, t, origin and `LINEAR` (float64), one row a known (store, day) and origin that was asked for.
        adjusted: store, t, adjusted: log sales of history without the effects of weekday, promotion and the like,
            about the store's mean, in whole 1 / PARTS (int64: sums do not depend on their order); days without sales
            and outliers have no row.
    """

    rows: pa.Table
    adjusted: pa.Table


def linear(days: Mapping[str, NDArray[np.generic]], horizon: int, *, every: int, history: int | None) -> Linear:
    """Fit as of each block's end before as_of and look `horizon` days ahead.

    Args:
        days: columns of the open days: store, t (days from as_of), sales and customers (NaN where unknown) and the
            known columns of `calendar.KNOWN` and closing_start.
        horizon: days each origin looks ahead.
        every: blocks from one origin of a store to its next; horizon / BLOCK looks at each past day once.
        history: days before the first origin; None: only as_of itself is an origin.
    """
    grid = _Grid.of(days)
    oldest = -1 if history is None else min(-1, grid.first + history - 1)
    origins = range(0, oldest, -BLOCK)
    models = _models(grid, origins[-1])
    found = [_look_ahead(grid, models, origin, horizon, every) for origin in origins]
    rows = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    store, at = np.nonzero(grid.regular)
    coefficients = models[0].coefficients[-1] * ~_mask(_LOOSE)
    adjusted = grid.log_sales - np.einsum("stp,sp->st", grid.design, coefficients.astype(np.float32), optimize=True)
    kept = np.where(grid.regular, adjusted, np.nan)
    centred = adjusted - np.nanmean(kept, axis=1, keepdims=True)
    return Linear(
        rows=pa.table(rows),
        adjusted=pa.table(
            {
                "store": grid.stores[store],
                "t": at + grid.first,
                "adjusted": np.rint(centred[store, at] * PARTS).astype(np.int64),
            }
        ),
    )


@dataclass(frozen=True)
class _Grid:
    """Stores x days, dense: what is absent or closed has no weight.

    first: t of the first column; design: (S, T, P) float32; log_sales: (S, T), NaN where unknown, closed or from as_of
    on.
    """

    stores: NDArray[np.int64]
    first: int
    known: NDArray[np.bool_]
    design: Floats
    log_sales: Floats
    a_customer: Floats
    regular: NDArray[np.bool_]
    days: dict[str, Floats]

    @classmethod
    def of(cls, days: Mapping[str, NDArray[np.generic]]) -> _Grid:
        stores, store = np.unique(days["store"], return_inverse=True)
        t = days["t"].astype(np.int64)
        first = int(np.floor(t.min() / BLOCK)) * BLOCK
        shape = (len(stores), int(t.max()) - first + 1)

        def spread(values: NDArray[np.generic], fill: float) -> Floats:
            grid = np.full(shape, fill, np.float32)
            grid[store, t - first] = values
            return grid

        known = spread(np.ones(len(t)), 0) > 0
        names = _READ
        columns = {name: spread(days[name], 0) for name in names}
        columns["t"] = np.broadcast_to(np.arange(shape[1], dtype=np.float32) + first, shape)
        sales = np.full(shape, np.nan)
        sales[store, t - first] = np.where(t < 0, days["sales"], np.nan)
        customers = np.full(shape, np.nan)
        customers[store, t - first] = np.where(t < 0, days["customers"], np.nan)
        log_sales = _log(sales)
        a_customer = log_sales - _log(customers)
        grid = cls(stores, first, known, _design(columns), log_sales, a_customer, np.isfinite(log_sales), columns)
        return grid._without_outliers()

    def _without_outliers(self) -> _Grid:
        """Days far from what the store's own model says are not regular: they count little and make no level."""
        model = _models(self, 0, HALF_LIVES[:1])[0]
        fitted = np.einsum("stp,sp->st", self.design, model.coefficients[-1].astype(np.float32), optimize=True)
        residual = self.log_sales - model.means[-1][:, None] - fitted
        far = np.abs(residual) > OUTLIER * model.scales[-1][:, None]
        return _Grid(**{**self.__dict__, "regular": self.regular & ~far})


def _log(values: Floats) -> Floats:
    return np.log(values, where=values > 0, out=np.full(values.shape, np.nan))


@dataclass(frozen=True)
class _Models:
    """One half-life's models as of the origins from `oldest` to 0, oldest first.

    means, scales: (origins, S); coefficients: (origins, S, P), about the mean.
    """

    oldest: int
    means: Floats
    coefficients: Floats
    scales: Floats

    def place(self, origin: int) -> int:
        """Where an origin's model is."""
        return (origin - self.oldest) // BLOCK


def _models(grid: _Grid, oldest: int, half_lives: tuple[int, ...] = HALF_LIVES) -> list[_Models]:
    blocks = -grid.first // BLOCK
    stores, _, columns = grid.design.shape
    inside = np.arange(BLOCK)[None, :] - BLOCK
    counts = np.where(grid.regular, 1.0, OUTLIER_WEIGHT) * np.isfinite(grid.log_sales)
    logs = np.nan_to_num(grid.log_sales)
    models = []
    for half_life in half_lives:
        fade, recent = 0.5 ** (BLOCK / half_life), 0.5 ** (-inside / half_life)
        gram, moment = np.zeros((stores, columns, columns)), np.zeros((stores, columns))
        square, means, coefficients, scales = np.zeros(stores), [], [], []
        for block in range(blocks):
            span = slice(block * BLOCK, (block + 1) * BLOCK)
            weight, y = counts[:, span] * recent, logs[:, span]
            x = grid.design[:, span]
            weighted = (x * weight[..., None]).astype(np.float32)
            gram = fade * gram + np.matmul(weighted.transpose(0, 2, 1), x)
            moment = fade * moment + np.matmul(weighted.transpose(0, 2, 1), y[..., None].astype(np.float32))[..., 0]
            square = fade * square + (weight * y**2).sum(1)
            if grid.first + span.stop < oldest:
                continue
            mean, coefficient = _ridge(gram, moment)
            means.append(mean)
            coefficients.append(coefficient)
            about = moment - mean[:, None] * gram[:, 0]
            total = square - 2 * mean * moment[:, 0] + mean**2 * gram[:, 0, 0]
            explained = 2 * (coefficient * about).sum(1) - np.einsum("sp,spq,sq->s", coefficient, gram, coefficient)
            scales.append(np.sqrt(np.maximum(total - explained, 0) / np.maximum(gram[:, 0, 0], 1)))
        models.append(_Models(oldest, np.array(means), np.array(coefficients), np.array(scales)))
    return models


def _ridge(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """Each store's mean and its coefficients about it: what all stores share plus its own shrunk deviation."""
    count = gram[:, 0, 0]
    some = np.maximum(count, 1e-9)
    known = count > 0
    mean = np.where(known, moment[:, 0] / some, (moment[:, 0].sum() / max(count.sum(), 1e-9)))
    about = moment - mean[:, None] * gram[:, 0]
    share = gram[:, 0] / some[:, None]
    within = (gram - gram[:, [0]] * share[:, :, None])[:, 1:, 1:].sum(0)
    between = (about - about[:, [0]] * share)[:, 1:].sum(0)
    little = np.eye(len(within)) * max(np.trace(within), 1.0) / len(within) * 1e-5
    shared = np.concatenate([[0.0], np.linalg.solve(within + little, between)])
    own = np.linalg.solve(gram + np.diag(SHRINK * _PENALTIES)[None], (about - gram @ shared)[..., None])[..., 0]
    return mean, shared + own


def _look_ahead(
    grid: _Grid, models: list[_Models], origin: int, horizon: int, every: int
) -> dict[str, NDArray[np.generic]]:
    """The rows of one origin: forecasts of the linear models and where the store stands about them."""
    start = origin - grid.first
    place = models[0].place(origin)
    span = slice(start, min(start + horizon, grid.known.shape[1]))
    wanted = grid.known[:, span].copy()
    if origin < 0:
        # Origins of a store lie `every` blocks apart and are staggered over stores, so all days of origin occur.
        wanted &= ((np.arange(len(grid.stores)) + start // BLOCK) % every == 0)[:, None]
        wanted &= (np.arange(wanted.shape[1]) + origin < 0)[None, :]
    design = _design({name: values[:, span] for name, values in grid.days.items()}, last=origin + horizon)
    store, at = np.nonzero(wanted)
    x = design[store, at]
    forecasts = [
        model.means[place][store] + np.einsum("np,np->n", x, model.coefficients[place][store]) for model in models
    ]
    ground = models[0].coefficients[place]
    tied = ground * ~_mask(_LOOSE)
    adjustment = np.einsum("np,np->n", x, tied[store])
    rows: dict[str, NDArray[np.generic]] = {
        "store": grid.stores[store],
        "t": (at + origin).astype(np.int64),
        "origin": np.full(len(at), origin, np.int64),
        "linear": forecasts[0],
    }
    for half_life, forecast in zip(HALF_LIVES[1:], forecasts[1:], strict=True):
        rows[f"linear_{half_life}"] = forecast - forecasts[0]
    for back in LEVELS:
        window = slice(max(0, start - back), start)
        regular = grid.regular[:, window]
        count = regular.sum(1)
        y = np.where(regular, grid.log_sales[:, window], 0).sum(1)
        effects = np.einsum("stp,st->sp", grid.design[:, window], regular.astype(np.float32), optimize=True)
        level = (y - (effects * tied).sum(1)) / np.where(count > 0, count, np.nan)
        rows[f"level_{back}"] = level[store] - (forecasts[0] - adjustment)
    for name in EFFECTS:
        rows[f"effect_{name}"] = ground[:, _NAMES.index(name)][store]
    rows["store_level"] = models[0].means[place][store]
    rows["scale"] = models[0].scales[place][store]
    half_year = grid.a_customer[:, max(0, start - 182) : start]
    paid = np.isfinite(half_year)
    rows["sales_a_customer"] = (np.nan_to_num(half_year).sum(1) / np.where(paid.any(1), paid.sum(1), np.nan))[store]
    return rows


_READ = (
    "weekday",
    "promo",
    "day_of_month",
    "days_to_month_end",
    "closed_until",
    "closed_since",
    "school",
    "holiday",
    "christmas_days",
    "easter_days",
    "day_of_year",
    "reopened",
    "reopened_length",
    "closing",
    "closing_length",
    "closing_start",
)


def _columns() -> dict[str, float]:
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


_COLUMNS = _columns()
_NAMES = list(_COLUMNS)
_PENALTIES = np.array(list(_COLUMNS.values()))


def _mask(names: tuple[str, ...]) -> NDArray[np.bool_]:
    return np.isin(_NAMES, names)


def _design(days: Mapping[str, Floats], last: int | None = None) -> Floats:
    """The columns of `_COLUMNS` for a grid of days; `last` hides what happens from that t on.

    Returns:
        (S, T, P) float32.
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
    year = 2 * np.pi * d["day_of_year"] / 365.25
    columns: dict[str, NDArray[np.generic]] = {"one": np.ones_like(t)}
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
    weeks = np.log(np.maximum(d["reopened_length"], 1) / 7)
    back = d["reopened"]
    for name, low, high in (("back_2", 1, 2), ("back_3", 3, 3), ("back_5", 4, 5), ("back_8", 6, 8)):
        near = (back >= low) & (back <= high)
        columns |= {name: near, f"{name}_long": near * weeks}
    for name, low, high in (("before_1", 1, 1), ("before_4", 2, 4), ("before_10", 5, 10), ("before_24", 11, 24)):
        near = shut & (closing >= low) & (closing <= high)
        columns |= {name: near, f"{name}_long": near & (length >= 14)}
    return np.stack([columns[name].astype(np.float32) for name in _NAMES], axis=-1)
