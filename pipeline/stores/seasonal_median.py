"""The baseline to beat: the median of a store's past sales on that weekday, with or without promotion."""

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
    """Medians by store, weekday and promotion, by store, and of all, the first that there is."""

    like: pd.Series
    store: pd.Series
    overall: float

    def predict(self, features: pd.DataFrame) -> NDArray[np.float64]:
        """Mean sales of each row."""
        found = features[list(GROUP_COLUMNS)].join(self.like.rename("median"), on=list(GROUP_COLUMNS))["median"]
        by_store = features["store"].map(self.store)
        return found.fillna(by_store).fillna(self.overall).to_numpy(float)


def fit(train: pd.DataFrame, seed: int) -> SeasonalMedian:  # noqa: ARG001 (nothing is drawn)
    """Medians over all of `train`."""
    sales = train["sales"]
    return SeasonalMedian(
        like=sales.groupby([train[name] for name in GROUP_COLUMNS]).median(),
        store=sales.groupby(train["store"]).median(),
        overall=float(sales.median()),
    )
