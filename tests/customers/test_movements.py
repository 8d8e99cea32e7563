"""Movements: every customer of either day once, the days that are compared, and what the page says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.customers.movements import (
    NOT_ASSIGNED,
    SCHEMA,
    changed_segments,
    day_of_last_month,
    day_of_last_training,
    movements_between,
)
from pipeline.customers.report_movements import ARRIVED, LEFT, flows, movement_sections
from pipeline.customers.segment_map import Segment, SegmentMap

BEFORE, AFTER = date(2024, 5, 1), date(2024, 6, 1)
SEGMENTS = {1: "insiders", 2: "lapsed", 3: "regulars"}
Days = st.dictionaries(st.sampled_from([f"C{n}" for n in range(8)]), st.sampled_from([*SEGMENTS, None]))


@pytest.fixture(scope="module")
def con() -> Any:
    return ibis.duckdb.connect()


def scores(*days: tuple[date, dict[str, int | None]]) -> ibis.Table:
    rows = [
        {"customer_id": customer, "as_of": day, "segment": segment, "segment_name": SEGMENTS.get(segment or 0)}
        for day, segments in days
        for customer, segment in segments.items()
    ]
    schema = {"customer_id": "string", "as_of": "date", "segment": "int64", "segment_name": "string"}
    return ibis.memtable(rows, schema=schema)


def movements(con: Any, before: dict[str, int | None], after: dict[str, int | None]) -> pd.DataFrame:
    table = scores((BEFORE, before), (AFTER, after), (AFTER + timedelta(days=1), {"C9": 1}))
    rows: pd.DataFrame = con.to_pyarrow(movements_between(table, BEFORE, AFTER, "last month")).cast(SCHEMA).to_pandas()
    return rows


@given(before=Days, after=Days)
@settings(max_examples=25, deadline=None)
def test_no_customer_of_either_day_is_lost_or_doubled(
    con: Any, before: dict[str, int | None], after: dict[str, int | None]
) -> None:
    rows = movements(con, before, after)
    assert sorted(rows["customer_id"]) == sorted({*before, *after})
    for side, day in (("from", before), ("to", after)):
        known = rows[rows[f"{side}_name"].notna()]
        named = {customer: SEGMENTS.get(segment or 0, NOT_ASSIGNED) for customer, segment in day.items()}
        assert dict(zip(known["customer_id"], known[f"{side}_name"], strict=True)) == named
    if len(rows):
        assert flows(rows)["customers"].sum() == len(rows)


def test_page_says_who_stayed_moved_came_and_left(con: Any) -> None:
    before = {"C1": 1, "C2": 1, "C3": 2, "C4": 2, "C5": 2}
    rows = movements(con, before, {"C1": 1, "C2": 2, "C3": 2, "C4": 3, "C6": 3})
    (section,) = movement_sections(rows)
    assert section.sentences[0] == (
        "Compared with 2024-05-01: of 4 customers on both days 2 (50.0 %) are in the same segment and 2 in another; "
        "1 have become customers, and 1 have not bought anything in the window any more."
    )
    assert section.sentences[1:] == ["Segments that appeared: regulars."]
    found = {(row["source"], row["target"]): row["customers"] for row in flows(rows).to_dict("records")}
    assert found[("insiders", "lapsed")] == found[(ARRIVED, "regulars")] == found[("lapsed", LEFT)] == 1
    assert section.figure
    link = json.loads(section.figure)["data"][0]["link"]
    assert sum(link["value"]) == len(rows)
    assert movement_sections(rows[:0]) == []


def test_a_renamed_segment_is_no_movement(con: Any) -> None:
    rows = movements(con, {"C1": 1}, {"C1": 1}).assign(to_name="champions of the shop")
    assert "1 (100.0 %) are in the same segment and 0 in another" in movement_sections(rows)[0].sentences[0]
    assert len(movement_sections(rows)[0].sentences) == 1


def test_last_month_is_a_month_or_two_ago_and_never_later() -> None:
    days = [AFTER - timedelta(days=n) for n in (-5, 0, 1, 27, 28, 29, 62, 63)]
    assert day_of_last_month(days, AFTER) == AFTER - timedelta(days=28)
    assert day_of_last_month([AFTER - timedelta(days=62)], AFTER) == AFTER - timedelta(days=62)
    assert day_of_last_month([AFTER - timedelta(days=n) for n in (27, 63)], AFTER) is None


def test_last_training_is_the_newest_earlier_day_of_another_version() -> None:
    days = [AFTER + timedelta(days=n) for n in range(-3, 2)]
    assert day_of_last_training(dict(zip(days, [1, 1, 2, 2, 3], strict=True)), AFTER) == days[1]
    assert day_of_last_training(dict.fromkeys(days, 2), AFTER) is None


def test_a_retraining_says_which_segments_appeared_and_vanished() -> None:
    def mapped(*ids: int) -> SegmentMap:
        empty = SegmentMap((), (), (), (), (), (), 9)
        return replace(empty, segments=tuple(Segment(i, SEGMENTS[i], 1, 1, 1, 1, 1, {}, {}) for i in ids))

    assert changed_segments(mapped(1, 2), mapped(1, 3)) == "segments that appeared: regulars; that vanished: lapsed"
    assert changed_segments(mapped(1, 2), mapped(2, 1)) == "the segments are those of the champion"
