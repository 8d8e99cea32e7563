"""Define the interface of the store sales models, and convert features to what they take.

Each model is a module with a function `fit(train, seed) -> Model`. Both `fit` and `Model.predict` take the table of
`features.store_features` as a data frame: `fit` its training rows (`training_rows`), `predict` any rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from pipeline.errors import UsageError
from pipeline.stores.calendar import CATEGORICAL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ibis.expr.types as ir
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Model(Protocol):
    """A fitted model."""

    def predict(self, features: pd.DataFrame) -> Floats:
        """Return the sales forecast of each row, in the order of the rows; all are positive."""
        ...


class Fit(Protocol):
    """The function that fits a model; the same rows and seed give the same model."""

    def __call__(self, train: pd.DataFrame, seed: int) -> Model: ...


def to_frame(features: ir.Table) -> pd.DataFrame:
    """Convert the feature table to a data frame without having two copies in memory."""
    rows: pd.DataFrame = features.to_pyarrow().to_pandas(split_blocks=True, self_destruct=True)
    return rows


def training_rows(features: pd.DataFrame) -> pd.DataFrame:
    """Select the rows to train on: before as_of, with sales."""
    return features[(features["origin"] < 0) & features["sales"].notna()]


def forecast_rows(features: pd.DataFrame) -> pd.DataFrame:
    """Select the rows to forecast: the horizon that starts at as_of."""
    return features[features["origin"] == 0]


def category_values(train: pd.DataFrame) -> dict[str, list[str]]:
    """Return the distinct values of each of `CATEGORICAL_COLUMNS`, sorted; their positions are the codes."""
    return {name: sorted(train[name].unique()) for name in CATEGORICAL_COLUMNS}


def require_columns(features: pd.DataFrame, columns: Sequence[str]) -> None:
    """Check that the features have the columns of a model.

    Raises:
        UsageError: if a column is missing.
    """
    missing = [name for name in columns if name not in features.columns]
    if missing:
        raise UsageError(
            "the features lack columns that the model was trained on",
            observed=", ".join(missing),
            todo="build them with pipeline.stores.features of the version that trained the model",
        )


def feature_matrix(
    features: pd.DataFrame, columns: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> NDArray[np.float32]:
    """Convert features to a matrix of numbers, with categories as codes.

    Args:
        features: rows of features.
        columns: the columns of the matrix, in this order.
        categories: the `category_values` at training; a value that was not seen then gets the code -1.

    Returns:
        (rows, columns).

    Raises:
        UsageError: if a column is missing.
    """
    require_columns(features, columns)
    numbers = [name for name in columns if name not in categories]
    matrix = np.empty((len(columns), len(features)), np.float32)
    matrix[[columns.index(name) for name in numbers]] = features[numbers].to_numpy(np.float32).T
    for k, name in enumerate(columns):
        if name in categories:
            codes = {value: code for code, value in enumerate(categories[name])}
            matrix[k] = [codes.get(value, -1) for value in features[name].tolist()]
    return matrix.T
