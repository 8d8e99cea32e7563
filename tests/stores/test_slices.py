"""Slices divide the rows of a fold by store, day and season, and by what was known of the store."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd

from pipeline.stores.slices import FEW_OPEN_DAYS, slices, store_histories
from tests.stores.helpers import plain_days, plain_stores, tables

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

START = dt.date(2024, 7, 2)


def rows(**changed: object) -> pd.DataFrame:
    """One row each of the stores 1 to 3, on the first, the third and the last day of the fold."""
    frame = pd.DataFrame(
        {
            "store": [1, 2, 3],
            "day": pd.to_datetime(["2024-07-02", "2024-07-20", "2024-08-12"]),
            "ahead": [0, 18, 41],
            "store_type": ["a", "b", "a"],
            "assortment": ["c", "c", "c"],
            "promo": [1.0, 0.0, 0.0],
            "holiday_since": [60.0, 3.0, 60.0],
            "holiday_until": [60.0, 60.0, 7.0],
        }
    )
    return frame.assign(**changed)


def test_a_store_that_was_closed_for_long_and_a_new_one_are_told_apart(con: Backend) -> None:
    days = plain_days(4)
    closed = (days["store"] == 1) & days["day"].between("2023-09-01", "2024-03-31")
    young = (days["store"] == 2) & (days["day"] < "2024-04-01")
    table, _ = tables(con, days[~closed & ~young], plain_stores(4))
    histories = store_histories(table, START)
    assert histories.loc[1, "open_days"] < FEW_OPEN_DAYS < histories.loc[3, "open_days"]
    found = slices(rows(), histories, START)
    assert found["store was closed for long"].tolist() == [True, False, False]
    assert found["new store"].tolist() == [False, True, False]


def test_days_of_the_fold_and_later_do_not_count_as_history(con: Backend) -> None:
    table, _ = tables(con, plain_days(4), plain_stores(4))
    cut = plain_days(4)
    earlier, _ = tables(con, cut[cut["day"] < pd.Timestamp(START)], plain_stores(4))
    pd.testing.assert_frame_equal(
        store_histories(table, START).sort_index(), store_histories(earlier, START).sort_index()
    )


def test_days_are_divided_by_promotion_season_holiday_and_part_of_the_horizon(con: Backend) -> None:
    histories = store_histories(tables(con, plain_days(4), plain_stores(4))[0], START)
    found = slices(rows(), histories, START)
    assert found["promotion: yes"].tolist() == [True, False, False]
    assert found["season: summer"].all()
    assert found["holiday week: yes"].tolist() == [False, True, False]
    assert [found[f"{part} two weeks"].tolist().index(True) for part in ("first", "middle", "last")] == [0, 1, 2]
    december = slices(rows(day=pd.to_datetime(["2024-12-01"] * 3)), histories, START)
    assert december["season: winter"].all()
    assert not december["season: autumn"].any()
