"""Open days relative to usual sales, and their distance from holidays and closures."""

from __future__ import annotations

import numpy as np

from pipeline.stores.analysis.base import MAX_OFFSET, open_days


def test_excess_is_relative_to_the_same_store_weekday_and_promotion(by_hand, plain_days) -> None:
    con, table = by_hand
    records = plain_days(28) + plain_days(28, store=2, sales=500.0)
    records[0] |= {"sales": 200.0}  # a Monday
    records[7] |= {"sales": 300.0, "promo": True}
    found = open_days(con, table(records)).to_pandas().set_index(["store", "day"]).sort_index()["excess"]
    mondays = [found[1].iloc[k] for k in (0, 7, 14, 21)]
    usual = (np.log(200) + 2 * np.log(100)) / 3
    np.testing.assert_allclose(mondays, [np.log(200) - usual, 0, *[np.log(100) - usual] * 2], atol=1e-12)
    assert found[2].abs().max() < 1e-12


def test_closed_days_and_days_without_sales_are_left_out(by_hand, plain_days) -> None:
    con, table = by_hand
    records = plain_days(10)
    records[3] |= {"open": False, "sales": 0.0}
    records[4] |= {"sales": 0.0}
    assert open_days(con, table(records)).count().to_pyarrow().as_py() == 8


def test_days_are_counted_from_the_nearest_holiday_of_the_store(by_hand, plain_days) -> None:
    con, table = by_hand
    records = plain_days(40) + plain_days(40, store=2)
    records[20] |= {"state_holiday": "public", "open": False, "sales": 0.0}
    records[24] |= {"state_holiday": "easter"}
    found = open_days(con, table(records)).order_by("store", "day").to_pandas()
    one = found[found["store"] == 1].set_index("day")[["to_holiday", "near"]]
    offsets = {f"{day:%d}": tuple(row) for day, row in one.iloc[18:26].iterrows()}
    assert offsets["20"] == (-1, "public")
    assert offsets["22"] == (1, "public")
    assert offsets["23"] == (-2, "easter"), "of two equally near the coming one"
    assert offsets["25"] == (0, "easter")
    assert one["to_holiday"].iloc[: 20 - MAX_OFFSET].isna().all()
    assert found[found["store"] == 2]["near"].isna().all()


def test_missing_days_are_not_part_of_a_closure(by_hand, plain_days) -> None:
    con, table = by_hand
    records = plain_days(60)
    for k in range(20, 25):
        records[k] |= {"open": False, "sales": 0.0}
    gap = [record for k, record in enumerate(records) if not 40 <= k < 50]
    found = open_days(con, table(gap)).order_by("day").to_pandas()
    assert list(found["closes_in"][18:20]) == [2, 1]
    assert list(found["reopened"][20:22]) == [1, 2]
    assert found["closes_in"][20:].isna().all(), "a gap in the rows is no closure"
    assert np.isnan(found["reopened"][0])


def test_three_closed_days_are_no_long_closure(by_hand, plain_days) -> None:
    con, table = by_hand
    for closed, expected in ((3, False), (4, True)):
        records = plain_days(40)
        for k in range(20, 20 + closed):
            records[k] |= {"open": False, "sales": 0.0}
        found = open_days(con, table(records)).to_pandas()
        assert found["reopened"].notna().any() == expected
        assert found["closes_in"].notna().any() == expected
