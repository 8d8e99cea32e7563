"""Baseline: the median of the store's past sales on the same weekday, with or without promotion as on the day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

GROUP_COLUMNS = ("store", "weekday", "promo")


@dataclass(frozen=True)
class SeasonalMedian:
    """Medians of past sales; a row gets the first of them that exists.

    Attributes:
        by_group: by store, weekday and promotion.
        by_store: by store.
        overall: of all rows.
    """

    by_group: pd.Series
    by_store: pd.Series
    overall: float

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Return the forecast sales of each row, (rows,)."""
        keys = features[list(GROUP_COLUMNS)]
        medians = keys.join(self.by_group.rename("median"), on=list(GROUP_COLUMNS))["median"]
        return medians.fillna(features["store"].map(self.by_store)).fillna(self.overall).to_numpy(float)


def fit(train: pd.DataFrame, seed: int) -> SeasonalMedian:  # noqa: ARG001 (nothing is random)
    """Compute the medians over all training rows."""
    sales = train["sales"]
    return SeasonalMedian(
        by_group=sales.groupby([train[name] for name in GROUP_COLUMNS]).median(),
        by_store=sales.groupby(train["store"]).median(),
        overall=float(sales.median()),
    )
