"""Regressions with inference: generalised linear models, McFadden's conditional logit, and a bootstrap over people.

Both estimators have scikit-learn's interface, so that they can end a Pipeline, and hold numpy arrays only, so that a
model file holds nothing else. They add standard errors and intervals. The visits of one person are correlated, so the
covariance of the coefficients is clustered by person (Liang & Zeger 1986). `draws_` holds bootstrap replicates of the
coefficients: the interval of anything computed from the coefficients comes from computing it for each replicate.

The bootstrap takes one Newton step from the estimate (Kline & Santos 2012, Journal of Econometric Methods 1): people
are drawn with replacement, and each draw moves the coefficients by the inverse information times the drawn scores. It
agrees with refitting to first order, and costs a product of matrices instead of hundreds of fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import statsmodels.api as sm
from scipy import optimize
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from pipeline.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

DRAWS = 200
"""Bootstrap replicates: the ends of a 95 % interval are then accurate to a tenth of its width."""
LOW, HIGH = 2.5, 97.5
"""The percentiles at the ends of a 95 % interval."""
MIN_EIGENVALUE = 1e-10
"""The fraction of the information's largest eigenvalue below which a combination of coefficients is not identified."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, draws: ArrayLike) -> Self:
        """Return an estimate with the percentiles of its bootstrap draws."""
        low, high = np.percentile(np.asarray(draws, dtype=np.float64), (LOW, HIGH))
        return cls(float(value), float(low), float(high))

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class Glm(BaseEstimator):  # type: ignore[misc]
    """A generalised linear model, fitted by maximum likelihood with statsmodels.

    Args:
        family: logit for outcomes of 0 or 1, poisson (with a log link) for counts.
        seed: of the bootstrap.

    Attributes:
        coef_: (1 + columns,), the intercept first.
        covariance_: (1 + columns, 1 + columns), clustered by person; for independent rows if no people are given.
        draws_: (DRAWS, 1 + columns), bootstrap replicates of the coefficients.
    """

    def __init__(self, family: Literal["logit", "poisson"] = "logit", seed: int = 7) -> None:
        self.family = family
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike, people: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit the coefficients, their covariance and their bootstrap replicates.

        Args:
            X: (rows, columns), finite.
            y: (rows,), 0 or 1 for the logit, a count for poisson.
            people: (rows,), the person of each row; rows are independent if left out.

        Raises:
            RefusedError: the coefficients are not identified, or all outcomes are the same.
        """
        design, target = _with_intercept(X), np.asarray(y, dtype=np.float64)
        if np.ptp(target) == 0:
            raise RefusedError(
                "A model cannot be fitted to outcomes that are all the same",
                observed=f"{len(target):,} rows" + (f", all {target[0]:g}" if len(target) else ""),
                todo="train on more days",
            )
        fitted = sm.GLM(target, design, family=self._family()).fit(tol=1e-10)
        self.coef_ = np.asarray(fitted.params)
        scores = design * (target - fitted.fittedvalues)[:, None]
        weights = fitted.fittedvalues * (1 - fitted.fittedvalues) if self.family == "logit" else fitted.fittedvalues
        information = (design * weights[:, None]).T @ design
        self.covariance_, self.draws_ = _inference(self.coef_, scores, information, people, self.seed)
        self.n_features_in_ = design.shape[1] - 1
        return self

    def mean(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the expected outcome of each row, (rows,): a probability, or a count."""
        check_is_fitted(self)
        return self._inverse_link(_with_intercept(X) @ self.coef_)

    def mean_draws(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return the expected outcome of each row by each bootstrap replicate, (rows, DRAWS)."""
        check_is_fitted(self)
        return self._inverse_link(_with_intercept(X) @ self.draws_.T)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """Return `mean`, under the name that a Pipeline calls."""
        return self.mean(X)

    def _family(self) -> Any:
        return sm.families.Binomial() if self.family == "logit" else sm.families.Poisson()

    def _inverse_link(self, linear: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-linear)) if self.family == "logit" else np.exp(linear)


class ConditionalLogit(BaseEstimator):  # type: ignore[misc]
    """A model of a choice among alternatives that have attributes (McFadden 1974).

    The utility of alternative j in situation n is x_nj · coef_, and its probability is exp(utility) / the sum of
    exp(utility) over all alternatives. An alternative that is not available has NaN attributes and probability 0.

    Args:
        seed: of the bootstrap.

    Attributes:
        coef_: (columns,), one coefficient per attribute.
        covariance_: (columns, columns), clustered by person.
        draws_: (DRAWS, columns), bootstrap replicates of the coefficients.
    """

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    def fit(self, X: NDArray[np.float64], y: ArrayLike, people: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit the coefficients, their covariance and their bootstrap replicates.

        Args:
            X: (situations, alternatives, columns); NaN where an alternative is not available.
            y: (situations,), the position of the chosen alternative.
            people: (situations,), the person who chooses; situations are independent if left out.

        Raises:
            RefusedError: the coefficients are not identified.
        """
        design, available = _available(X)
        chosen = np.asarray(y, dtype=np.int64)
        rows = np.arange(len(chosen))
        chosen_sum = design[rows, chosen].sum(axis=0)

        def objective(coef: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            p = _shares(design, available, coef)
            with np.errstate(divide="ignore"):
                log_likelihood = np.log(p[rows, chosen]).sum()
            return -log_likelihood, np.einsum("nj,njk->k", p, design) - chosen_sum

        def hessian(coef: NDArray[np.float64]) -> NDArray[np.float64]:
            return _information(design, _shares(design, available, coef))

        optimum = optimize.minimize(
            objective, np.zeros(design.shape[2]), jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-5}
        )
        self.coef_ = np.asarray(optimum.x, dtype=np.float64)
        p = _shares(design, available, self.coef_)
        scores = design[rows, chosen] - np.einsum("nj,njk->nk", p, design)
        information = _information(design, p)
        self.covariance_, self.draws_ = _inference(self.coef_, scores, information, people, self.seed)
        return self

    def shares(self, X: NDArray[np.float64], coef: NDArray[np.float64] | None = None) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each alternative, (situations, alternatives); each row adds up to one.

        Args:
            X: (situations, alternatives, columns); NaN where an alternative is not available.
            coef: (columns,), coefficients other than the fitted ones, such as a bootstrap replicate.
        """
        check_is_fitted(self)
        return _shares(*_available(X), self.coef_ if coef is None else coef)


def standard_errors(model: Glm | ConditionalLogit) -> NDArray[np.float64]:
    """Return the standard errors of the coefficients, clustered by person."""
    return np.sqrt(np.diag(model.covariance_))


def coefficients(
    names: Sequence[str], values: NDArray[np.float64], errors: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    """Return name -> value and standard_error, as JSON can hold them."""
    return {
        name: {"value": float(value), "standard_error": float(error)}
        for name, value, error in zip(names, values, errors, strict=True)
    }


def _with_intercept(rows: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(rows, dtype=np.float64)
    return np.column_stack([np.ones(len(values)), values])


def _available(design: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the attributes with 0 for missing ones, and (situations, alternatives) whether each is available."""
    available: NDArray[np.bool_] = np.asarray(np.isfinite(design).all(axis=2))
    return np.where(available[:, :, None], design, 0.0), available


def _shares(
    design: NDArray[np.float64], available: NDArray[np.bool_], coef: NDArray[np.float64]
) -> NDArray[np.float64]:
    utility = np.where(available, design @ coef, -np.inf)
    # Only differences of utilities matter; the largest is set to 0 so that exp does not overflow.
    weight = np.exp(utility - utility.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = weight / weight.sum(axis=1, keepdims=True)
    return shares


def _information(design: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = np.einsum("nj,njk->nk", p, design)
    information: NDArray[np.float64] = np.einsum("nj,njk,njl->kl", p, design, design, optimize=True) - mean.T @ mean
    return information


def _inference(
    coef: NDArray[np.float64],
    scores: NDArray[np.float64],
    information: NDArray[np.float64],
    people: ArrayLike | None,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the covariance clustered by person, and the bootstrap draws over people.

    Raises:
        RefusedError: the coefficients are not identified.
    """
    # The information is scaled first, because columns of very different size (an income, a share) are no fault.
    scale = np.sqrt(np.maximum(np.diag(information), np.finfo(np.float64).tiny))
    eigenvalues = np.linalg.eigvalsh(information / np.outer(scale, scale))
    if not np.isfinite(coef).all() or eigenvalues[0] <= MIN_EIGENVALUE * eigenvalues[-1]:
        raise RefusedError(
            "The coefficients of a model are not identified by the data",
            observed="columns that never vary, or that always vary together",
            todo="train on days with more variation, for example of prices, or leave a column out",
        )
    inverse = np.linalg.inv(information)
    if people is not None:
        _, codes = np.unique(np.asarray(people), return_inverse=True)
        summed = np.zeros((codes.max() + 1, scores.shape[1]))
        np.add.at(summed, codes, scores)
        scores = summed
    influence = scores @ inverse
    count = len(influence)
    covariance = influence.T @ influence * (count / max(count - 1, 1))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return covariance, coef + (drawn - 1) @ influence
