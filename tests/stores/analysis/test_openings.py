"""Closures, gaps between rows, and stores that are open all week."""

from __future__ import annotations

import pytest

from pipeline.stores.analysis.base import open_days
from pipeline.stores.analysis.openings import compare_weekends, find_openings, openings_section, weekends_section


def test_closures_gaps_and_the_days_around_are_found(by_hand, plain_days) -> None:
    con, table = by_hand
    records = plain_days(90) + plain_days(90, store=2)
    for k in range(30, 36):
        records[k] |= {"open": False, "sales": 0.0}
    records[36] |= {"sales": 300.0}
    for k in range(175, 180):
        records[k] |= {"open": False, "sales": 0.0}
    kept = records[:120] + records[130:]
    days = table(kept)
    found = find_openings(days, open_days(con, days))
    assert found.closures.to_dict("records") == [
        {"store": 1, "start": found.closures["start"][0], "days": 6},
    ]
    assert f"{found.closures['start'][0]:%Y-%m-%d}" == "2024-01-31"
    assert found.missing[["store", "days"]].to_numpy().tolist() == [[2, 10]]
    assert found.lasting == 1
    around = found.around.set_index("place")["excess"]
    assert around[1] > 0.8
    text = " ".join(openings_section(found).sentences)
    assert "1 store had closures of 4 days or more, 1 closure in total. The longest was that of store 1, 6 days" in text
    assert "At the end of the data 1 store has been closed for 4 days or more." in text
    assert "1 store has a gap of 7 days or more without data; the longest is 10 days (store 2" in text


def test_without_closures_and_gaps_the_section_says_so(by_hand, plain_days) -> None:
    con, table = by_hand
    days = table(plain_days(30))
    text = " ".join(openings_section(find_openings(days, open_days(con, days))).sentences)
    assert "No store was closed for 4 days or more in a row" in text
    assert "No store has a gap of 7 days or more" in text


def test_every_tenth_store_of_the_chain_is_open_all_week(planted) -> None:
    found = compare_weekends(planted.store_days, planted.days)
    assert (found.all_week, found.others) == (6, 54)
    weekday = planted.chain.effects.weekday
    sales = found.sales["all_week"]
    assert sales[6] / sales[5] == pytest.approx(2.718281828 ** (weekday[6] - weekday[5]), abs=0.03)
    assert "6 stores are open on 50 % or more of the Sundays, 54 are not." in weekends_section(found).sentences


def test_without_sunday_stores_the_section_says_so(by_hand, plain_days) -> None:
    con, table = by_hand
    records = [r | {"open": False, "sales": 0.0} if r["day"].weekday() == 6 else r for r in plain_days(30)]
    days = table(records)
    section = weekends_section(compare_weekends(days, open_days(con, days)))
    assert section.figure is None
    assert "none is open all week" in section.sentences[0]
