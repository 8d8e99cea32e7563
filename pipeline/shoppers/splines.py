"""Lines that bend: each column as itself and, from a few of its quantiles on, what goes beyond (linear splines)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_BEYOND = 0.01
"""A bend with less than this share of the rows on a side of it would be drawn through noise."""


class LinearSplines(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """x, and max(x - knot, 0) for each knot: a regression on them is continuous and may change its slope at a knot.

    Attributes:
        knots_: (knots, columns), NaN where a column has fewer, as where many of its values are the same.
        n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    def __init__(self, bends: int = 5) -> None:
        self.bends = bends

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: N803, ARG002 (scikit-learn's signature)
        values = validate_data(self, X, dtype=np.float64)
        at = np.quantile(values, np.linspace(0, 1, self.bends + 2)[1:-1], axis=0)
        beyond = (values[None] > at[:, None]).mean(axis=1)
        within = (values[None] < at[:, None]).mean(axis=1)
        doubled = np.zeros(at.shape, dtype=bool)
        doubled[1:] = np.isclose(at[1:], at[:-1])
        self.knots_ = np.where((beyond < MIN_BEYOND) | (within < MIN_BEYOND) | doubled, np.nan, at)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        parts = [values]
        for knots in self.knots_:
            known = ~np.isnan(knots)
            parts.append(np.maximum(values[:, known] - knots[known], 0))
        return np.concatenate(parts, axis=1)
