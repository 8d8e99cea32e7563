"""Figures and arrivals as the morning page phrases them."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from pipeline.ingestion.ledger import LedgerEntry, Status
from pipeline.morning.state import Arrival, Figure, Line, Morning
from pipeline.reports.phrasing import NumberStyle, written_in


@pytest.mark.parametrize(
    ("values", "now", "change"),
    [
        ((859.0,), "859", ""),
        ((862.0, 859.0), "859", "-0.3 %"),
        ((1000.0, 1311.0), "1,311", "+31.1 %"),
        ((2.0, 3.0), "3", "was 2"),
        ((0.0, 3.0), "3", "was 0"),
        ((3.0, 3.0), "3", "unchanged"),
        ((198.02, 198.0), "198", "hardly changed"),
    ],
)
def test_a_figure_is_shown_with_its_change(values: tuple[float, ...], now: str, change: str) -> None:
    figure = Figure("customers", values)
    assert (figure.now, figure.change) == (now, change)


def arrival(read: int, quarantined: int, usual: float | None) -> Arrival:
    at = datetime(2025, 3, 3, tzinfo=UTC)
    counts = {"read": read, "clean": read - quarantined, "quarantined": quarantined}
    entry = LedgerEntry("t", "d", "till", "0" * 64, "r", "raw/x", 9, at, Status.COMMITTED, **counts)
    return Arrival(entry, 1, usual)


@pytest.mark.parametrize(
    ("read", "quarantined", "usual", "unusual"),
    [
        (1000, 30, 0.01, True),
        (1000, 29, 0.01, False),
        (1000, 10, 0.0, True),
        (1000, 9, 0.0, False),
        (1000, 10, None, True),
        (0, 0, None, False),
    ],
)
def test_a_quarantined_share_is_unusual_from_three_times_the_usual_one_on(
    read: int, quarantined: int, usual: float | None, unusual: bool
) -> None:
    assert arrival(read, quarantined, usual).is_unusual is unusual


def test_the_days_go_back_from_the_newest() -> None:
    at = datetime(2025, 3, 3, tzinfo=UTC)
    days = Morning(date(2025, 3, 3), (), (), (), at).days
    assert (days[0], days[-1], len(days)) == (date(2025, 3, 3), date(2025, 2, 18), 14)
    assert Morning(None, (), (), (), at).days == []


def test_money_has_its_currency_and_counts_have_none() -> None:
    with written_in(NumberStyle(currencies={"transactions": "GBP"})):
        revenue = Figure("revenue", (1500.0, 1800.0), "transactions")
        assert (revenue.now, revenue.change) == ("£1,800", "+20.0 %")
        assert Figure("revenue", (50.0, 1800.0), "transactions").change == "was £50.00"
        assert Figure("customers", (1500.0, 1800.0)).now == "1,800"


def test_models_that_were_never_checked_share_a_line_and_lose_nothing() -> None:
    names = ("store_sales", "brand_choice")
    unchecked = [Line(name, "model", "not checked", news=(f"{name} is new", "and good")) for name in names]
    well, drift = Line("stores", "domain", "well"), Line("customer_value", "model", "drift")

    def not_urgent(*lines: Line) -> list[Line]:
        return Morning(None, lines, (), (), datetime(2025, 3, 3, tzinfo=UTC)).not_urgent

    assert not_urgent(drift, well, unchecked[0]) == [unchecked[0], well]
    together, other = not_urgent(unchecked[0], well, drift, unchecked[1])
    assert other == well
    assert (together.subject, together.verdict, together.todo) == ("2 models", "not checked", "aisle watch")
    assert together.news == ("store sales: store_sales is new; and good", "brand choice: brand_choice is new; and good")
