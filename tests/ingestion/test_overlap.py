"""Deliveries that speak of the same lines: nothing doubled, nothing lost, the newest word believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.ingestion import overlap

NAMES = ["2025-03-03.csv", "2025-03-04.csv", "files/week.csv", "files/month.csv"]
DAYS = ["2025-03-03", "2025-03-04"]
SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Line = tuple[int, int, int, str]  # invoice, stock code, quantity, day
lines_of = st.lists(
    st.tuples(st.integers(1, 2), st.sampled_from([10001, 10002]), st.integers(1, 2), st.sampled_from(DAYS)),
    min_size=1,
    max_size=5,
)


def text(till: Any, lines: list[Line]) -> list[str]:
    return [till.line(invoice, stock, quantity, day=day) for invoice, stock, quantity, day in lines]


def shown(till: Any) -> list[tuple[str, ...]]:
    rows = till.clean("invoice", "stock_code", "quantity", "day")
    return sorted(tuple(map(str, row)) for row in rows)


def model(sequence: list[tuple[str, list[Line]]]) -> list[tuple[str, ...]]:
    """What must stand: of each invoice and article on a day, all that the newest delivery that has it says."""
    says: dict[str, tuple[int, list[Line]]] = {}
    for time, (name, lines) in enumerate(sequence):
        distinct = list(dict.fromkeys(lines)) if name.startswith("files/") else lines
        if name not in says or says[name][1] != distinct:
            says[name] = (time, distinct)
    newest: dict[tuple[int, int, str], int] = {}
    for time, lines in says.values():
        for invoice, stock, _, day in lines:
            key = (invoice, stock, day)
            newest[key] = max(time, newest.get(key, -1))
    return sorted(
        tuple(map(str, line))
        for time, lines in says.values()
        for line in lines
        if newest[line[0], line[1], line[3]] == time
    )


@SLOW
@given(st.lists(st.tuples(st.sampled_from(NAMES), lines_of), min_size=2, max_size=5))
def test_any_sequence_of_deliveries_gives_what_the_model_says(
    new_till: Callable[[], Any], sequence: list[tuple[str, list[Line]]]
) -> None:
    till = new_till()
    for name, lines in sequence:
        till.deliver(name, text(till, lines))
    assert shown(till) == model(sequence)


TRUTH: list[Line] = [(1, 10001, 1, DAYS[0]), (1, 10001, 2, DAYS[0]), (1, 10002, 3, DAYS[0]), (2, 10001, 4, DAYS[1])]
AGREEING = {
    "2025-03-03.csv": [line for line in TRUTH if line[3] == DAYS[0]],
    "2025-03-04.csv": [line for line in TRUTH if line[3] == DAYS[1]],
    "files/month.csv": TRUTH,
    "files/week.csv": TRUTH[:3],
}


@SLOW
@given(st.permutations(NAMES), st.lists(st.sampled_from(NAMES), max_size=2))
def test_where_deliveries_agree_no_order_matters(
    new_till: Callable[[], Any], order: list[str], again: list[str]
) -> None:
    till = new_till()
    for name in [*order, *again]:
        till.deliver(name, text(till, AGREEING[name]))
    assert shown(till) == sorted(tuple(map(str, line)) for line in TRUTH)


@pytest.mark.parametrize("month_first", [True, False])
@pytest.mark.parametrize("corrects", ["2025-03-03.csv", "files/month.csv"])
def test_a_corrected_overlap_shows_the_corrected_line_once(
    new_till: Callable[[], Any], month_first: bool, corrects: str
) -> None:
    till = new_till()
    names = ["files/month.csv", "2025-03-03.csv"]
    for name in names if month_first else reversed(names):
        till.deliver(name, text(till, AGREEING[name]))
    corrected = [(1, 10002, 30, DAYS[0]) if line == TRUTH[2] else line for line in AGREEING[corrects]]
    till.deliver(corrects, text(till, corrected))
    expected = sorted(tuple(map(str, (1, 10002, 30, DAYS[0]) if line == TRUTH[2] else line)) for line in TRUTH)
    assert shown(till) == expected
    # The one that was not corrected says nothing new when it comes again.
    other = next(name for name in names if name != corrects)
    till.deliver(other, text(till, AGREEING[other]))
    assert shown(till) == expected


def test_what_an_overlap_hid_comes_back_when_the_newer_word_is_withdrawn(new_till: Callable[[], Any]) -> None:
    till = new_till()
    till.deliver("files/month.csv", text(till, TRUTH))
    till.deliver("2025-03-03.csv", text(till, [(1, 10002, 30, DAYS[0])]))
    till.deliver("2025-03-03.csv", text(till, [(9, 10001, 1, DAYS[0])]))
    expected = sorted(tuple(map(str, line)) for line in [*TRUTH, (9, 10001, 1, DAYS[0])])
    assert shown(till) == expected


def test_two_equal_lines_of_one_till_are_two_lines_beside_an_overlap(new_till: Callable[[], Any]) -> None:
    till = new_till()
    twice: list[Line] = [TRUTH[0], TRUTH[0]]
    till.deliver("files/month.csv", text(till, TRUTH[:1]))
    till.deliver("2025-03-03.csv", text(till, twice))
    assert shown(till) == sorted(tuple(map(str, line)) for line in twice)


def test_bytes_that_return_are_newer_than_what_arrived_in_between(new_till: Callable[[], Any]) -> None:
    till = new_till()
    first, others = [till.line(1, price=1.5)], [till.line(1, price=2.5)]
    till.deliver("files/a.csv", first)
    till.deliver("files/a.csv", others)
    till.deliver("2025-03-03.csv", [till.line(1, price=3.5)])
    assert till.clean("unit_price") == [(3.5,)]
    till.deliver("files/a.csv", first)
    assert till.clean("unit_price") == [(1.5,)]


def test_a_delivery_that_is_committed_in_pieces_is_complete(
    new_till: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "PIECE_ROWS", 3)
    till = new_till()
    lines: list[Line] = [(1, 10001, n, DAYS[n % 2]) for n in range(1, 9)]
    till.deliver("files/month.csv", text(till, lines))
    assert shown(till) == sorted(tuple(map(str, line)) for line in lines)
    assert [row for row, _ in till.clean("row", "quantity")] == list(range(1, 9))
