"""The interval of what is expected of all shoppers in the next week.

A week differs from what the weeks before it suggest by chance, by how many people come, and by what the shop does. How
much, the past shows: for each earlier week, its total beside the mean of the four weeks before it, from which the
expectation takes the number of visits, too. Of these ratios the lowest and highest tenth are left out. As ranks of
observed weeks they need no distribution; that weeks go on to differ as they did is the only assumption.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pipeline.shoppers.features import RECENT_WEEKS

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

TAIL = 0.1
"""The share of weeks beyond either end of the interval."""
MAX_WEEKS = 52
MIN_WEEKS = 9
"""With fewer, even the lowest and highest of the ratios are no tenth."""


def week_ratios(visits: pd.DataFrame, as_of: date, column: str) -> NDArray[np.float64]:
    """The total of each of the newest weeks / the mean of the four weeks before it, oldest first.

    Args:
        visits: a row for each visit before the day: day, and `column`, in which a missing value counts as 0.
        as_of: the weeks are counted back from this day.
        column: what is summed, such as `bought`.
    """
    ago = (pd.Timestamp(as_of) - pd.to_datetime(visits["day"])).dt.days - 1
    whole = int((ago.max() + 1) // 7)
    weeks = visits[column].astype(float).groupby(ago // 7).sum().reindex(range(whole), fill_value=0.0).to_numpy()[::-1]
    before = np.array([weeks[at - RECENT_WEEKS : at].mean() for at in range(RECENT_WEEKS, len(weeks))])
    ratios = np.divide(weeks[RECENT_WEEKS:], before, out=np.full(len(before), np.nan), where=before > 0)
    return np.asarray(ratios[np.isfinite(ratios)][-MAX_WEEKS:], dtype=np.float64)


def next_week_interval(expected: float, ratios: NDArray[np.float64]) -> tuple[float, float] | None:
    """The interval of the next week's total, that is to hold four of five; None with too few earlier weeks."""
    if len(ratios) < MIN_WEEKS:
        return None
    rank = int(TAIL * (len(ratios) + 1))
    ordered = np.sort(ratios)
    return expected * float(ordered[rank - 1]), expected * float(ordered[-rank])
