"""Linear splines: each column, and for some of its quantiles the excess above that quantile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_SHARE = 0.01
"""A knot with less than this fraction of the rows on one side of it is left out: its slope would be noise."""


class LinearSplines(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Transform x into x and max(x - knot, 0) for each knot: a linear model of them is piecewise linear in x.

    Args:
        bends: number of knots per column, at evenly spaced quantiles. The name is part of saved model files.

    Attributes:
        knots_: (knots, columns); NaN if a column has fewer knots because many of its values are the same.
        n_features_in_, feature_names_in_: as in scikit-learn.
    """

    def __init__(self, bends: int = 5) -> None:
        self.bends = bends

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: N803, ARG002 (scikit-learn's signature)
        values = validate_data(self, X, dtype=np.float64)
        knots = np.quantile(values, np.linspace(0, 1, self.bends + 2)[1:-1], axis=0)
        above = (values[None] > knots[:, None]).mean(axis=1)
        below = (values[None] < knots[:, None]).mean(axis=1)
        repeated = np.zeros(knots.shape, dtype=bool)
        repeated[1:] = np.isclose(knots[1:], knots[:-1])
        self.knots_ = np.where((above < MIN_SHARE) | (below < MIN_SHARE) | repeated, np.nan, knots)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        parts = [values]
        for knots in self.knots_:
            known = ~np.isnan(knots)
            parts.append(np.maximum(values[:, known] - knots[known], 0))
        return np.concatenate(parts, axis=1)
