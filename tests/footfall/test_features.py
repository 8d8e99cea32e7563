"""Footfall described: dated or not, and nothing of later days."""

from __future__ import annotations

from datetime import date, timedelta

import ibis
import pandas as pd
import pyarrow as pa
import pytest
from ibis.backends.duckdb import Backend

from pipeline.dates import UNDATED, UNDATED_AS_OF
from pipeline.errors import RefusedError
from pipeline.footfall.features import describe, footfall_features

FIRST = date(2025, 3, 1)


@pytest.fixture(scope="module")
def con() -> Backend:
    return ibis.duckdb.connect(threads=1)


def table(days: list[date]) -> pa.Table:
    rows = range(len(days))
    return pa.table(
        {
            "day": pa.array(days),
            "visitors": pa.array([10 + n for n in rows], pa.int64()),
            "buyers": pa.array([5 + n % 3 for n in rows], pa.int64()),
            "row": pa.array([n + 1 for n in rows], pa.int64()),
        }
    )


def test_as_of_nothing_later_is_read(con: Backend) -> None:
    days = [FIRST + timedelta(days=n) for n in range(10)]
    as_of = FIRST + timedelta(days=4)
    whole = con.to_pyarrow(footfall_features(ibis.memtable(table(days)), as_of))
    cut = con.to_pyarrow(footfall_features(ibis.memtable(table(days).slice(0, 4)), as_of))
    assert whole.equals(cut)
    assert whole["day"].to_pylist() == days[:4]


def test_days_without_a_date_are_known_at_all_times_and_keep_their_order(con: Backend) -> None:
    rows = con.to_pyarrow(footfall_features(ibis.memtable(table([UNDATED] * 5)), UNDATED_AS_OF))
    assert rows["day"].to_pylist() == [None] * 5
    assert rows["visitors"].to_pylist() == [10, 11, 12, 13, 14]


def test_description_by_hand() -> None:
    found = describe(pd.DataFrame({"visitors": [1.0, 2.0, 3.0, 4.0], "buyers": [2.0, 2.0, 2.0, 4.0]}))
    assert (found.visitors.mean, found.visitors.median, found.visitors.minimum, found.visitors.maximum) == (
        2.5,
        2.5,
        1,
        4,
    )
    assert found.visitors.std == pytest.approx((5 / 3) ** 0.5)
    assert (found.visitors.lower_quartile, found.visitors.upper_quartile) == (1.75, 3.25)
    assert found.buyer_counts == {2: 3, 4: 1}
    assert (found.impossible_days, found.impossible_share) == (1, 0.25)
    assert found.conversion == 1
    assert found.correlation == pytest.approx(0.7745967)


def test_a_single_day_and_none() -> None:
    found = describe(pd.DataFrame({"visitors": [0.0], "buyers": [0.0]}))
    assert found.visitors.std == 0
    assert found.correlation != found.correlation
    with pytest.raises(RefusedError, match="no footfall"):
        describe(pd.DataFrame({"visitors": [], "buyers": []}))
