"""Regressions that know how sure they are: generalised linear models, McFadden's conditional logit, and a bootstrap.

Both estimators are scikit-learn's in form, so that they end a Pipeline, and numpy in substance, so that a model file
holds arrays and nothing else. What they add is inference. The visits of one person are alike, so the covariance of the
coefficients is clustered by person (Liang & Zeger 1986), and `draws_` holds bootstrap replicates of the coefficients
over people: whoever wants an interval of anything computed from the coefficients computes it once a draw.

The bootstrap takes one Newton step from the estimate (Kline & Santos 2012, Journal of Econometric Methods 1): people
are drawn with replacement, and each draw moves the coefficients by the inverse information times the drawn scores. It
agrees with refitting to the first order and costs a product of matrices instead of hundreds of fits.
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
"""Bootstrap replicates: enough for the ends of a 95 % interval to within a tenth of its width."""
LOW, HIGH = 2.5, 97.5
"""The percentiles of an interval."""
FLAT = 1e-10
"""Below this share of the largest eigenvalue, the data say nothing of a direction."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, draws: ArrayLike) -> Self:
        """The estimate, and the percentiles of its draws."""
        low, high = np.percentile(np.asarray(draws, dtype=np.float64), (LOW, HIGH))
        return cls(float(value), float(low), float(high))

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class Glm(BaseEstimator):  # type: ignore[misc]
    """A generalised linear model by maximum likelihood, fitted by statsmodels.

    Attributes:
        coef_: the intercept, then a coefficient a column.
        covariance_: theirs, clustered by person; of independent rows where no people are given.
        draws_: (DRAWS, coefficients) bootstrap replicates over people.
    """

    def __init__(self, family: Literal["logit", "poisson"] = "logit", seed: int = 7) -> None:
        self.family = family
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike, people: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit.

        Args:
            X: (rows, columns), finite.
            y: 0 or 1 for the logit, a count for Poisson.
            people: whose row each is; missing: everybody's rows are their own.

        Raises:
            RefusedError: if the data cannot tell the coefficients apart, or there is but one outcome.
        """
        design, target = _with_intercept(X), np.asarray(y, dtype=np.float64)
        if np.ptp(target) == 0:
            raise RefusedError(
                "A model needs more than one outcome to learn from",
                observed=f"{len(target):,} rows, all {target[0] if len(target) else 'none'}",
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
        """The expected outcome of each row: a probability, or a count."""
        check_is_fitted(self)
        return self._inverse_link(_with_intercept(X) @ self.coef_)

    def mean_draws(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """(rows, DRAWS): the same by each bootstrap replicate."""
        check_is_fitted(self)
        return self._inverse_link(_with_intercept(X) @ self.draws_.T)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        """The expected outcome, under the name that pipelines know."""
        return self.mean(X)

    def _family(self) -> Any:
        return sm.families.Binomial() if self.family == "logit" else sm.families.Poisson()

    def _inverse_link(self, linear: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-linear)) if self.family == "logit" else np.exp(linear)


class ConditionalLogit(BaseEstimator):  # type: ignore[misc]
    """A choice among alternatives that are described by columns of their own (McFadden 1974).

    The utility of alternative j in situation n is x_nj · coef_, and its probability exp of it over the sum of all: the
    multinomial logit with coefficients that belong to attributes. An alternative that cannot be chosen has NaN for
    its attributes and probability 0.

    Attributes:
        coef_: one a column.
        covariance_: theirs, clustered by person.
        draws_: (DRAWS, coefficients) bootstrap replicates over people.
    """

    def __init__(self, seed: int = 7) -> None:
        self.seed = seed

    def fit(self, X: NDArray[np.float64], y: ArrayLike, people: ArrayLike | None = None) -> Self:  # noqa: N803
        """Fit.

        Args:
            X: (situations, alternatives, columns); NaN where an alternative is not there.
            y: the position of the one that was chosen.
            people: whose choice each is.

        Raises:
            RefusedError: if the data cannot tell the coefficients apart.
        """
        design, open_ = _available(X)
        chosen = np.asarray(y, dtype=np.int64)
        rows = np.arange(len(chosen))
        first = design[rows, chosen].sum(axis=0)

        def objective(coef: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            p = _shares(design, open_, coef)
            with np.errstate(divide="ignore"):
                likelihood = np.log(p[rows, chosen]).sum()
            return -likelihood, np.einsum("nj,njk->k", p, design) - first

        def hessian(coef: NDArray[np.float64]) -> NDArray[np.float64]:
            return _information(design, _shares(design, open_, coef))

        found = optimize.minimize(
            objective, np.zeros(design.shape[2]), jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-5}
        )
        self.coef_ = np.asarray(found.x, dtype=np.float64)
        p = _shares(design, open_, self.coef_)
        scores = design[rows, chosen] - np.einsum("nj,njk->nk", p, design)
        information = _information(design, p)
        self.covariance_, self.draws_ = _inference(self.coef_, scores, information, people, self.seed)
        return self

    def shares(self, X: NDArray[np.float64], coef: NDArray[np.float64] | None = None) -> NDArray[np.float64]:  # noqa: N803
        """(situations, alternatives): the probability of each, which add up to one; by other coefficients on demand."""
        check_is_fitted(self)
        return _shares(*_available(X), self.coef_ if coef is None else coef)


def standard_errors(model: Glm | ConditionalLogit) -> NDArray[np.float64]:
    """Standard errors of the coefficients, clustered by person."""
    return np.sqrt(np.diag(model.covariance_))


def coefficients(
    names: Sequence[str], values: NDArray[np.float64], errors: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    """Coefficients with their standard errors, as JSON can hold them."""
    return {
        name: {"value": float(value), "standard_error": float(error)}
        for name, value, error in zip(names, values, errors, strict=True)
    }


def _with_intercept(rows: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(rows, dtype=np.float64)
    return np.column_stack([np.ones(len(values)), values])


def _available(design: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    there: NDArray[np.bool_] = np.asarray(np.isfinite(design).all(axis=2))
    return np.where(there[:, :, None], design, 0.0), there


def _shares(design: NDArray[np.float64], there: NDArray[np.bool_], coef: NDArray[np.float64]) -> NDArray[np.float64]:
    utility = np.where(there, design @ coef, -np.inf)
    # Only differences of utilities matter, and the largest at 0 keeps the others from overflowing.
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
    """Covariance clustered by person, and bootstrap draws over people.

    Raises:
        RefusedError: if the data cannot tell the coefficients apart.
    """
    # Of columns in one scale: a year's income beside a share is no fault.
    scale = np.sqrt(np.maximum(np.diag(information), np.finfo(np.float64).tiny))
    size = np.linalg.eigvalsh(information / np.outer(scale, scale))
    if not np.isfinite(coef).all() or size[0] <= FLAT * size[-1]:
        raise RefusedError(
            "The data cannot tell the coefficients of a model apart",
            observed="columns that never vary, or always vary together",
            todo="train on days with more variation (of prices, say), or leave a column out",
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
