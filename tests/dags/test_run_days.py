"""Which days a run is about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from hypothesis import given
from hypothesis import strategies as st

from aisle_dags.conventions import scores_of
from aisle_dags.run_days import Span, event_days, form_span, pending, span_of, training_day, triggered_by
from pipeline.dates import UNDATED_AS_OF
from pipeline.errors import UsageError

MONDAY = date(2025, 3, 3)
DAY = timedelta(days=1)
days = st.dates(date(2024, 1, 1), date(2026, 1, 1))


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def run(form: dict[str, Any] | None = None, interval: tuple[datetime, datetime] | None = None) -> dict[str, Any]:
    context: dict[str, Any] = {"params": form or {}}
    if interval:
        context |= {"data_interval_start": interval[0], "data_interval_end": interval[1]}
    return context


def event(**extra: str) -> SimpleNamespace:
    return SimpleNamespace(extra=extra)


def test_a_nightly_run_is_about_the_day_of_its_interval() -> None:
    span = span_of(run(interval=(midnight(MONDAY), midnight(MONDAY + DAY))))
    assert span.days == [MONDAY]
    assert span.last == MONDAY


def test_the_form_wins_over_the_interval() -> None:
    interval = (midnight(MONDAY), midnight(MONDAY + DAY))
    span = span_of(run({"from": "2025-01-01", "until": "2025-01-04"}, interval))
    assert span == Span(date(2025, 1, 1), date(2025, 1, 4))
    assert len(span.days) == 3


@pytest.mark.parametrize("form", [{"from": "2025-03-03"}, {"until": "2025-03-04", "from": None}])
def test_one_date_is_one_day(form: dict[str, Any]) -> None:
    assert form_span(form) == Span(MONDAY, MONDAY + DAY)


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(run(interval=(midnight(MONDAY), midnight(MONDAY))), id="zero width"),
        pytest.param(run(interval=(midnight(MONDAY), midnight(MONDAY) + timedelta(hours=5))), id="less than a day"),
        pytest.param(run(), id="no interval"),
        pytest.param(run({"from": "2025-03-03", "until": "2025-03-03"}), id="empty form"),
        pytest.param(run({"from": "2025-03-04", "until": "2025-03-03"}), id="backwards"),
    ],
)
def test_a_run_without_a_day_is_refused(context: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refusal:
        span_of(context)
    assert "do next" in str(refusal.value)


def test_events_are_hints_of_any_number_order_and_content() -> None:
    context = run() | {
        "triggering_asset_events": {
            Asset("transactions"): [event(day="2025-03-04"), event(day="2025-03-03"), event(day="2025-03-04"), event()],
            Asset("features"): [SimpleNamespace(extra={"day": "2025-03-04", "days": ["2025-03-03", "2025-03-04"]})],
            Asset("champion"): [event(version="3"), SimpleNamespace(extra=None)],
        }
    }
    assert event_days(context) == [MONDAY, MONDAY + DAY]
    assert event_days(context, Asset("features")) == [MONDAY, MONDAY + DAY]
    assert event_days(context, Asset("champion")) == event_days(context, Asset("nobody")) == []
    assert event_days(run()) == []


def test_an_event_may_be_of_what_has_no_day() -> None:
    context = run() | {"triggering_asset_events": {scores_of("footfall"): [event(day="undated")]}}
    assert event_days(context) == [UNDATED_AS_OF]


def test_a_run_by_event_is_the_business_of_whose_event_it_is_and_one_by_hand_everybodys() -> None:
    context = run() | {"triggering_asset_events": {scores_of("footfall"): [event()], scores_of("stores"): []}}
    assert triggered_by(context, scores_of("footfall"))
    assert not triggered_by(context, scores_of("stores"))
    assert not triggered_by(context, scores_of("customers"))
    assert triggered_by(run(), scores_of("customers"))


def test_the_first_run_on_a_long_history_does_its_newest_day_alone() -> None:
    history = [MONDAY + DAY * n for n in range(365)]
    assert pending(history, done=[]) == [history[-1]]


def test_a_lost_event_costs_nothing() -> None:
    known = [MONDAY + DAY * n for n in range(5)]
    assert pending(known, done=known[:2], hinted=[known[4]]) == known[2:]


def test_a_late_delivery_is_done_again_and_the_newest_day_with_it() -> None:
    known = [MONDAY + DAY * n for n in range(5)]
    assert pending(known, done=known, hinted=[known[1]]) == [known[1], known[4]]


def test_an_empty_lake_has_nothing_pending() -> None:
    assert pending([], done=[], hinted=[MONDAY]) == []


@given(st.lists(days, min_size=1), st.lists(days), st.lists(days))
def test_what_is_done_reaches_what_is_known(known: list[date], done: list[date], hinted: list[date]) -> None:
    todo = pending(known, done, hinted)
    assert todo == sorted(set(todo))
    assert {*hinted, max(known)} <= set(todo)
    assert not done or pending(known, [*done, *todo]) == [max(known)]


def test_a_training_never_looks_past_what_the_lake_knows() -> None:
    known = [MONDAY - DAY, MONDAY]
    late = (midnight(MONDAY), midnight(MONDAY + DAY * 7))
    assert training_day(run(interval=late), known) == MONDAY + DAY
    assert training_day(run(), known) == MONDAY + DAY
    early = (midnight(MONDAY - DAY * 7), midnight(MONDAY))
    assert training_day(run(interval=early), known) == MONDAY
    by_hand = run(interval=early) | {"dag_run": SimpleNamespace(run_type="manual")}
    assert training_day(by_hand, known) == MONDAY + DAY


def test_a_training_takes_the_day_of_the_form_then_of_the_event() -> None:
    events = {"triggering_asset_events": {Asset("retrain"): [event(day="2025-03-03")]}}
    assert training_day(run() | events, [MONDAY + DAY]) == MONDAY
    assert training_day(run({"as_of": "2025-02-01"}) | events, [MONDAY]) == date(2025, 2, 1)


def test_there_is_nothing_to_train_on_in_an_empty_lake() -> None:
    with pytest.raises(UsageError, match="nothing to train on"):
        training_day(run(), [])
