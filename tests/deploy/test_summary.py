"""The end of the demo tells what was planted, and what was caught, when and by what."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from deploy.local.demo import Story
from deploy.local.summary import DemoSummary, Fault

WRONG = date(2024, 11, 20)
PRICE = "the median price is out of line with the recent days (observed 250, allowed 0.5 to 12.5)"
SUMMARY = DemoSummary(
    deliveries=8,
    rows={"read": 9, "clean": 9, "quarantined": 0, "repeats": 0},
    as_of=date(2024, 11, 25),
    segments=[],
    promotions=[],
    drift={date(2024, 11, 20): ["recency"], date(2024, 11, 21): [], date(2024, 11, 23): ["revenue", "prediction"]},
    fault=Fault(WRONG, "prices are too high"),
    warnings=[(date(2023, 11, 20), date(2024, 11, 17), ("old",)), (WRONG, WRONG, (PRICE,))],
)


def told(summary: DemoSummary) -> list[str]:
    return dict(summary.lines())["the planted fault"]


def test_what_was_planted_and_caught_is_told_with_its_day() -> None:
    assert told(SUMMARY) == [
        "planted: prices are too high, from 2024-11-20 on",
        "caught on its first day (2024-11-20) by the delivery's comparison with the recent days:",
        f"  {PRICE}",
        "  deliveries with such warnings: 1; the pages built on them say so at their top",
        "caught on its third day (as of 2024-11-23) by the drift check: revenue, prediction",
    ]


def test_what_was_not_caught_is_told_as_well() -> None:
    missed = replace(SUMMARY, warnings=SUMMARY.warnings[:1], drift={date(2024, 11, 20): ["recency"]})
    assert told(missed)[1:] == ["not caught when it was delivered", "not caught by the drift checks"]


def test_the_story_says_what_it_plants() -> None:
    assert Story().fault == Fault(WRONG, "new tills record prices 100 times and quantities 24 times too high")
