"""The page of a delivery: one static file with counts and reasons, whatever the delivery says of itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RefusedError
from pipeline.ingestion.suites import reason_kind

NAME = "2025-03-03.csv"


def page(till: Any) -> str:
    path: Path = till.lake.path("reports", "validation", "transactions", f"till--{NAME}.html")
    return path.read_text(encoding="utf-8")


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_it_shows_counts_and_reasons_and_needs_no_network(till: Any) -> None:
    till.deliver(NAME, [till.line(1), till.line(2, quantity=0), till.line(3, quantity="x"), till.line(4, quantity="y")])
    html = page(till)
    assert not re.search(r"""(src|href)=["']?(\w+:)?//|url\(|@import""", html)
    said = text(html)
    assert "accepted verdict 4 rows read 1 clean 3 quarantined 0 exact repeats" in said
    assert "quantity: the quantity is zero 1" in said
    assert "quantity: is not a whole number 2" in said
    assert "3 rows of 4 (75.0 %)" in said


def test_what_a_delivery_says_is_text_and_no_markup(till: Any) -> None:
    till.deliver(NAME, [till.line(1), till.line("<script>alert(1)</script>", quantity=0)])
    assert "<script>alert" not in page(till)
    assert "&lt;script&gt;alert" in page(till)


def test_warnings_come_before_the_expectations(till: Any) -> None:
    till.deliver(NAME, [till.line(n, stock=f"TEC-{n}") for n in range(20)])
    content = text(page(till))
    assert "accepted verdict" in content
    assert "1 warnings" in content
    assert content.index("only 0 of 20 lines are merchandise") < content.index("Expectations")


def test_a_refused_delivery_says_why_first(till: Any) -> None:
    with pytest.raises(RefusedError):
        till.deliver(NAME, [till.line(day="2025-03-01")])
    said = text(page(till))
    assert "refused verdict 1 rows read 0 clean" in said
    assert said.index("it is stale") < said.index("Expectations")


def test_a_delivery_that_cannot_be_read_has_its_page_too(till: Any) -> None:
    with pytest.raises(RefusedError):
        till.deliver(NAME, b"A;B\n1;2\n")
    assert "refused verdict 8 bytes" in text(page(till))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("quantity: 'a dozen' is not a whole number", "quantity: is not a whole number"),
        ('quantity: "it\'s" is not a whole number', "quantity: is not a whole number"),
        ("unit_price: the price is negative (-2.5)", "unit_price: the price is negative"),
        ("2 fields instead of 8", "2 fields instead of 8"),
    ],
)
def test_like_reasons_count_as_one(reason: str, kind: str) -> None:
    assert reason_kind(reason) == kind
