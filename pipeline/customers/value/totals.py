"""How far the expected total of all customers was from the actual one, and the interval that follows from it.

The outcomes of customers have much in common (a season, a trend, a fault in what was learned), so the intervals of
single customers do not add up to one of their total. What is in common shows only from one horizon to the next. So
the total is expected anew as of earlier days, a horizon apart, each time by a model of what was known then, and
compared with what happened. These logarithms of actual / expected are taken as independent draws of one normal
distribution around 0, of which the next one comes too: divided by the root of their mean square it has Student's
distribution with as many degrees of freedom as there are errors. So few errors give a wide interval. What is by chance
in the outcomes of single customers is part of each error.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from scipy.stats import t

from pipeline.customers.value.model import SHARE, fit_value, measure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from pipeline.customers.value.history import ValueData


def earlier_folds(data: ValueData, seed: int) -> dict[date, dict[str, float]]:
    """The metrics of earlier windows, a horizon apart, oldest first, each expected from the window before it alone."""
    chain = (data.earlier[0], *data.before)
    return {
        tested.as_of: measure(fit_value([known], seed).expect(tested.features, tested.season), tested)
        for tested, known in reversed(list(pairwise(chain)))
    }


def total_interval(expected: float, biases: Sequence[float | None]) -> tuple[float, float] | None:
    """The interval that is to hold the actual total in `SHARE` of all cases; None if no error is known.

    Args:
        expected: the expected total, above 0.
        biases: of earlier totals, expected / actual - 1, as `measure` has them.
    """
    errors = [math.log1p(bias) for bias in biases if bias is not None and bias > -1 and math.isfinite(bias)]
    if not errors or expected <= 0:
        return None
    spread = math.sqrt(sum(error**2 for error in errors) / len(errors))
    factor = math.exp(float(t.ppf((1 + SHARE) / 2, len(errors))) * spread)
    return expected / factor, expected * factor
