"""Make levels relative to the chain, so that trees cannot learn from them which days were good.

The level of the whole chain, last year's and the recent, has one value a day, and there are some fifty origins. Trees
memorise which of them were followed by good weather, and in the first year, when the linear models could not tell a
trend from the season yet, they learned that a chain below its linear forecast stays there. What a store is beyond the
chain has a thousand values a day. The chain's own level is left to the linear model and to the anchor of
`gradient_boosting.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]


def relative_name(column: str) -> str:
    """Return the name of a column less its mean over the stores."""
    return f"rel_{column}"


def mean_of_stores(values: Floats, axis: int) -> Floats:
    """Return the mean over an axis without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.asarray(np.where(known, values, 0).sum(axis) / np.where(count > 0, count, np.nan))
