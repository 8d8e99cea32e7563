"""Fit one ridge regression per store, shrunk towards the effects that all stores share, as of many days in one pass.

The normal equations are sums over days. They are accumulated block by block of `BLOCK_DAYS` days, and older days lose
weight on the way, so one pass over history gives the coefficients as of the end of every block. As of the end of
history alone, which is what a morning needs, one product of matrices per store gives the same sums in a sixth of the
time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.stores.grids import BLOCK_DAYS
from pipeline.stores.linear_design import CHUNK_BYTES, PENALTIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

SHRINKAGE = 0.3
"""Factor of the `PENALTIES` on a store's deviation from the shared effects."""
OUTLIER_WEIGHT = 0.05
"""Weight of a day that is not regular."""


@dataclass(frozen=True)
class RidgeFit:
    """The regressions of all stores as of one day.

    Attributes:
        means: (half-lives, S), weighted means of log sales.
        coefficients: (half-lives, S, P), effects on log sales about the mean.
        scales: (S,), standard deviations of the residuals with the first half-life.
    """

    means: Floats
    coefficients: Floats
    scales: Floats


def fit_ridge(
    design: Floats,
    log_sales: Floats,
    regular: NDArray[np.bool_],
    origins: Sequence[int],
    half_lives: Sequence[int],
) -> dict[int, RidgeFit]:
    """Fit the regressions as of each origin.

    Args:
        design: (S, T, P), the design matrix of all days before as_of; T is a multiple of `BLOCK_DAYS`.
        log_sales: (S, T), NaN where unknown or closed.
        regular: (S, T), the days that count in full; others with sales count `OUTLIER_WEIGHT`.
        origins: each a t, 0 or a multiple of `BLOCK_DAYS` before it.
        half_lives: days after which a day has lost half its weight.

    Returns:
        The fit as of each origin, which uses days before it only.
    """
    stores, days, columns = design.shape
    day_weights = np.where(regular, 1.0, OUTLIER_WEIGHT) * np.isfinite(log_sales)
    known_logs = np.nan_to_num(log_sales)
    if not origins:
        return {}
    grams = np.zeros((len(half_lives), stores, columns, columns))
    moments, squares = np.zeros((len(half_lives), stores, columns)), np.zeros(stores)
    block_decays = [0.5 ** (BLOCK_DAYS / half_life) for half_life in half_lives]
    decays_within = [0.5 ** (np.arange(BLOCK_DAYS, 0, -1) / half_life) for half_life in half_lives]
    chunk = max(1, CHUNK_BYTES // (4 * columns * BLOCK_DAYS))
    fits = {}
    for begin in range(0, days, BLOCK_DAYS):
        block = slice(begin, begin + BLOCK_DAYS)
        for part in (slice(k, k + chunk) for k in range(0, stores, chunk)):
            x, y = design[part, block], known_logs[part, block]
            for k, (decay, within) in enumerate(zip(block_decays, decays_within, strict=True)):
                weights = day_weights[part, block] * within
                weighted = (x * weights[..., None]).astype(np.float32).transpose(0, 2, 1)
                grams[k, part] *= decay
                grams[k, part] += weighted @ x
                moments[k, part] *= decay
                moments[k, part] += (weighted @ y[..., None].astype(np.float32))[..., 0]
                if k == 0:
                    squares[part] = decay * squares[part] + (weights * y**2).sum(1)
        origin = begin + BLOCK_DAYS - days
        if origin not in origins:
            continue
        solutions = [_solve(gram, moment) for gram, moment in zip(grams, moments, strict=True)]
        means, coefficients = (np.array(part) for part in zip(*solutions, strict=True))
        scales = _residual_scales(grams[0], moments[0], squares, means[0], coefficients[0])
        fits[origin] = RidgeFit(means, coefficients, scales)
    return fits


def fit_ridge_at_end(
    design: Floats, log_sales: Floats, regular: NDArray[np.bool_], half_lives: Sequence[int]
) -> RidgeFit:
    """Fit the regressions as of the end of history; the arguments are those of `fit_ridge`."""
    stores, days, columns = design.shape
    known = np.isfinite(log_sales)
    # Sums are in single precision, so what all log sales have in common is taken out first.
    level = float(log_sales[known].mean()) if known.any() else 0.0
    logs = np.where(known, log_sales - level, 0)
    day_weights = np.where(regular, 1.0, OUTLIER_WEIGHT) * known
    chunk = max(1, CHUNK_BYTES // (4 * columns * days))
    means: list[Floats] = []
    coefficients: list[Floats] = []
    scales: Floats = np.zeros(stores)
    for half_life in half_lives:
        weights = day_weights * 0.5 ** (np.arange(days, 0, -1) / half_life)
        gram, moment = np.zeros((stores, columns, columns)), np.zeros((stores, columns))
        for part in (slice(k, k + chunk) for k in range(0, stores, chunk)):
            weighted = (design[part] * weights[part, :, None].astype(np.float32)).transpose(0, 2, 1)
            gram[part] = weighted @ design[part]
            moment[part] = (weighted @ logs[part, :, None].astype(np.float32))[..., 0]
        mean, found = _solve(gram, moment)
        if not means:
            scales = _residual_scales(gram, moment, (weights * logs**2).sum(1), mean, found)
        means.append(mean + level)
        coefficients.append(found)
    return RidgeFit(np.array(means), np.array(coefficients), scales)


def _solve(gram: Floats, moment: Floats) -> tuple[Floats, Floats]:
    """Solve the normal equations: (S,) means, and (S, P) shared effects plus each store's own shrunk deviation."""
    count = gram[:, 0, 0]
    positive_count = np.maximum(count, 1e-9)
    has_days = count > 0
    mean = np.where(has_days, moment[:, 0] / positive_count, (moment[:, 0].sum() / max(count.sum(), 1e-9)))
    about_mean = moment - mean[:, None] * gram[:, 0]
    share = gram[:, 0] / positive_count[:, None]
    # The shared effects are estimated within stores: each store's own mean is taken out of design and sales.
    gram_within = (gram.sum(0) - gram[:, 0].T @ share)[1:, 1:]
    moment_within = (about_mean - about_mean[:, [0]] * share)[:, 1:].sum(0)
    jitter = np.eye(len(gram_within)) * max(np.trace(gram_within), 1.0) / len(gram_within) * 1e-5
    shared = np.concatenate([[0.0], np.linalg.solve(gram_within + jitter, moment_within)])
    penalised = gram + np.diag(SHRINKAGE * PENALTIES)
    own = np.linalg.solve(penalised, (about_mean - gram @ shared)[..., None])[..., 0]
    return mean, shared + own


def _residual_scales(gram: Floats, moment: Floats, square: Floats, mean: Floats, coefficients: Floats) -> Floats:
    """Compute the standard deviations of the residuals from the sums of the normal equations: (S,)."""
    count = gram[:, 0, 0]
    about_mean = moment - mean[:, None] * gram[:, 0]
    total = square - 2 * mean * moment[:, 0] + mean**2 * count
    fitted = (gram @ coefficients[..., None])[..., 0]
    explained = (coefficients * (2 * about_mean - fitted)).sum(1)
    scales: Floats = np.sqrt(np.maximum(total - explained, 0) / np.maximum(count, 1))
    return scales
