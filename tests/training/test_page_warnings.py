"""The warnings at the top of a domain's page: unusual deliveries it builds on, and drift of its champions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pipeline.customers.domain import DOMAIN
from pipeline.dates import UNDATED, UNDATED_AS_OF
from pipeline.ingestion.delivery_warnings import record_warnings
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import DRIFT_SCHEMA
from pipeline.reports.page import Section, write_page
from pipeline.training import page_warnings as module
from pipeline.training import scoring
from pipeline.training.monitored import DRIFT_TABLE
from pipeline.training.page_warnings import page_warnings

if TYPE_CHECKING:
    from pipeline.settings import Settings

AS_OF = date(2025, 3, 10)
PRICE = "the median price is out of line (observed 250, allowed 0.5 to 12.5)"


@dataclass(frozen=True)
class Champion:
    name: str = "customer_segments"
    version: int = 2


@pytest.fixture
def settings(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An empty home in which each model has a champion, version 2."""
    registry = SimpleNamespace(champion=lambda name: Champion(name))
    monkeypatch.setattr(module, "Registry", lambda _: registry)
    return home


def warn(settings: Settings, delivery: str, *days: date, table: str = "transactions", reasons: Any = (PRICE,)) -> None:
    record_warnings(Lake(settings), table, delivery, days, reasons, replaced=())
    write_page(Lake(settings), f"validation/{table}/{delivery}", delivery, "", [])


def sentences(settings: Settings, as_of: date = AS_OF) -> list[str]:
    return [notice.sentence for notice in page_warnings(settings, DOMAIN, as_of)]


def test_a_home_without_warnings_and_checks_has_none(settings: Settings) -> None:
    assert page_warnings(settings, DOMAIN, AS_OF) == []


def test_an_unusual_delivery_of_the_window_is_named_with_a_link(settings: Settings) -> None:
    warn(settings, "till--a.csv", date(2025, 3, 9))
    (notice,) = page_warnings(settings, DOMAIN, AS_OF)
    assert notice.sentence == (
        "This page builds on 1 unusual delivery to transactions, with rows of 2025-03-09: the median price is out of "
        "line."
    )
    assert notice.link is not None
    assert notice.link.href == "../validation/transactions/till--a.csv.html"


def test_a_delivery_whose_page_was_removed_because_of_its_age_has_no_link(settings: Settings) -> None:
    warn(settings, "till--a.csv", date(2025, 3, 9))
    Lake(settings).path("reports/validation/transactions/till--a.csv.html").unlink()
    (notice,) = page_warnings(settings, DOMAIN, AS_OF)
    assert notice.link is None


def test_deliveries_of_other_days_and_tables_do_not_count(settings: Settings) -> None:
    warn(settings, "later.csv", AS_OF)
    warn(settings, "earlier.csv", date(2024, 3, 9))
    warn(settings, "other.csv", date(2025, 3, 9), table="visits")
    assert sentences(settings) == []
    assert len(sentences(settings, date(2025, 3, 11))) == 1
    assert len(sentences(settings, date(2024, 3, 10))) == 1


def test_a_delivery_that_comes_again_without_warnings_has_none(settings: Settings) -> None:
    warn(settings, "a.csv", date(2025, 3, 9))
    warn(settings, "b.csv", date(2025, 3, 8))
    record_warnings(Lake(settings), "transactions", "a.csv", [date(2025, 3, 9)], (), replaced=["b.csv"])
    assert sentences(settings) == []


def test_several_deliveries_are_one_sentence_with_each_reason_once(settings: Settings) -> None:
    for day in (1, 2, 4):
        warn(settings, f"{day}.csv", date(2025, 3, day), reasons=(PRICE.replace("250", str(day)),))
    warn(settings, "5.csv", date(2025, 3, 5), date(2025, 3, 12), reasons=("few known customers",))
    (notice,) = page_warnings(settings, DOMAIN, AS_OF)
    assert notice.sentence == (
        "This page builds on 4 unusual deliveries to transactions, with rows of 2025-03-01 to 2025-03-02, "
        "2025-03-04 to 2025-03-09: the median price is out of line; few known customers."
    )
    assert notice.link is not None
    assert notice.link.href == "../validation/transactions/5.csv.html"


def test_rows_without_a_day_have_none(settings: Settings) -> None:
    warn(settings, "a.csv", UNDATED)
    assert sentences(settings, UNDATED_AS_OF) == [
        "This page builds on 1 unusual delivery to transactions: the median price is out of line."
    ]


def test_days_without_rows_are_named_up_to_the_day_before_the_page(settings: Settings, till: Any) -> None:
    """The shop is closed on Sunday the 9th, and nothing came in before the 3rd."""
    for day in ("2025-03-03", "2025-03-05", "2025-03-07"):
        till.deliver(f"{day}.csv", [till.line(day=day)])
    (sentence,) = sentences(till.settings)
    assert sentence.startswith(
        "This page lacks 3 days: transactions has no rows of 2025-03-04, 2025-03-06, 2025-03-08. Ask the source"
    )
    assert sentences(till.settings, date(2025, 3, 4)) == []
    till.deliver("2025-03-04.csv", [till.line(day="2025-03-04")])
    assert sentences(till.settings, date(2025, 3, 6)) == []


def check(settings: Settings, day: date, *drifted: str, version: int = 2, model: str = "customer_segments") -> None:
    row = {"as_of": day, "model": model, "model_version": version, "kind": "data", "method": "psi", "threshold": 0.1}
    row |= {"score": 0.2, "reference_rows": 9, "current_rows": 9}
    means = {"revenue": {"reference_mean": 184.2, "current_mean": 5943.4}}
    rows = [
        row | {"column": name, "drifted": name in drifted} | means.get(name, {})
        for name in ("revenue", "invoices", *drifted)
    ]
    table = pa.Table.from_pylist(rows, schema=DRIFT_SCHEMA)
    Lake(settings).replace(DRIFT_TABLE, {"as_of": [day], "model": [model]}, table)
    write_page(Lake(settings), f"drift/{model}/{day}", model, "", [])


def test_drift_that_the_newest_check_found_is_named_with_a_link(settings: Settings) -> None:
    check(settings, date(2025, 3, 8))
    check(settings, date(2025, 3, 9), "revenue", "prediction")
    (notice,) = page_warnings(settings, DOMAIN, AS_OF)
    assert notice.sentence.startswith(
        "The data has drifted since customer_segments version 2 was trained: the check as of 2025-03-09 found other "
        "values: revenue net of returns was 184, now 5,943; predictions."
    )
    assert notice.link is not None
    assert notice.link.href == "../drift/customer_segments/2025-03-09.html"


def test_drift_of_older_checks_later_days_other_versions_and_models_does_not_count(settings: Settings) -> None:
    check(settings, date(2025, 3, 5), "revenue")
    check(settings, date(2025, 3, 9))
    check(settings, date(2025, 3, 11), "revenue")
    check(settings, date(2025, 3, 10), "revenue", version=1)
    check(settings, date(2025, 3, 10), "sales", model="store_sales")
    assert sentences(settings) == []


def test_any_domain_has_them_at_the_top_of_its_page(settings: Settings) -> None:
    def write_report(settings: Settings, as_of: date) -> str:
        return write_page(Lake(settings), f"customers/{as_of}", "Customers", "", [Section("One")])

    warn(settings, "till--a.csv", date(2025, 3, 9))
    domain = replace(DOMAIN, steps=lambda: SimpleNamespace(write_report=write_report))  # type: ignore[arg-type,return-value]
    html = Lake(settings).path(scoring.write_report(settings, domain, AS_OF)).read_text()
    assert html.index("the median price") < html.index("<h2>One")
    assert '<a href="../validation/transactions/till--a.csv.html">The delivery</a>' in html
    assert "the median price" not in Lake(settings).path(write_report(settings, AS_OF)).read_text()
