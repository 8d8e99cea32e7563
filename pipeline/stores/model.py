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
        """Mean sales of each row, in the order of the rows; positive."""
        ...


class Fit(Protocol):
    """How a model is made: the same rows and seed give the same model."""

    def __call__(self, train: pd.DataFrame, seed: int) -> Model: ...


def to_frame(features: ir.Table) -> pd.DataFrame:
    """The feature table as a data frame, without ever holding it twice."""
    rows: pd.DataFrame = features.to_pyarrow().to_pandas(split_blocks=True, self_destruct=True)
    return rows


def training_rows(features: pd.DataFrame) -> pd.DataFrame:
    """The rows to train on: before as_of, with sales."""
    return features[(features["origin"] < 0) & features["sales"].notna()]


def forecast_rows(features: pd.DataFrame) -> pd.DataFrame:
    """The rows of the horizon that starts at as_of."""
    return features[features["origin"] == 0]


def categories(train: pd.DataFrame) -> dict[str, list[str]]:
    """The words of each column of `CATEGORICAL_COLUMNS`, in order: what a model remembers of them."""
    return {name: sorted(train[name].unique()) for name in CATEGORICAL_COLUMNS}


def feature_matrix(
    features: pd.DataFrame, columns: Sequence[str], known: Mapping[str, Sequence[str]]
) -> NDArray[np.float32]:
    """Columns as numbers, words as their place among the known ones (-1: never seen).

    Raises:
        UsageError: a column is missing.
    """
    missing = [name for name in columns if name not in features.columns]
    if missing:
        raise UsageError(
            "the features lack columns that the model was trained on",
            observed=", ".join(missing),
            todo="build them with pipeline.stores.features of the version that trained the model",
        )
    numbers = [name for name in columns if name not in known]
    out = np.empty((len(columns), len(features)), np.float32)
    out[[columns.index(name) for name in numbers]] = features[numbers].to_numpy(np.float32).T
    for k, name in enumerate(columns):
        if name in known:
            places = {word: place for place, word in enumerate(known[name])}
            out[k] = [places.get(word, -1) for word in features[name].tolist()]
    return out.T
