"""The interval of the next week's total: ratios of earlier weeks by hand, and how often it holds what comes."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from pipeline.shoppers.next_week import MIN_WEEKS, next_week_interval, week_ratios

AS_OF = date(2025, 6, 2)


def visits(totals: list[float]) -> pd.DataFrame:
    """Two visits in each week, the newest week last: one on its last day, one that bought nothing on its first."""
    ends = [AS_OF - timedelta(days=1 + 7 * back) for back in reversed(range(len(totals)))]
    rows = [(pd.Timestamp(end), total) for end, total in zip(ends, totals, strict=True)]
    rows += [(pd.Timestamp(end - timedelta(days=6)), float("nan")) for end in ends]
    return pd.DataFrame(rows, columns=["day", "bought"])


def test_a_week_is_compared_with_the_four_before_it() -> None:
    ratios = week_ratios(visits([1, 2, 3, 4, 5, 6]), AS_OF, "bought")
    assert ratios.tolist() == pytest.approx([5 / 2.5, 6 / 3.5])
    # Days before the first whole week are left out, and so are weeks after four without anything.
    assert week_ratios(visits([0, 0, 0, 0, 5, 6]).iloc[1:], AS_OF, "bought").tolist() == pytest.approx([6 / 1.25])


def test_the_tenths_at_both_ends_are_left_out() -> None:
    assert next_week_interval(100.0, np.linspace(0.5, 1.5, 11)[:MIN_WEEKS]) == pytest.approx((50.0, 130.0))
    assert next_week_interval(100.0, np.arange(1.0, 20.0)) == pytest.approx((200.0, 1800.0))
    assert next_week_interval(100.0, np.ones(MIN_WEEKS - 1)) is None


def test_four_of_five_weeks_lie_in_the_interval_of_those_before_them() -> None:
    rng = np.random.default_rng(5)
    totals = rng.poisson(60, size=400).astype(float)
    held = []
    for until in range(60, 400, 5):
        before = totals[until - 60 : until]
        low, high = next_week_interval(before[-4:].mean(), week_ratios(visits(before.tolist()), AS_OF, "bought")) or (
            0,
            0,
        )
        held.append(low <= totals[until] <= high)
    assert np.mean(held) == pytest.approx(0.8, abs=0.1)
