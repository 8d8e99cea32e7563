"""Each line's verdict, news and command, from what the lake and the registry hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

from pipeline.dates import DAY
from pipeline.errors import RefusedError
from pipeline.ingestion import ledger
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.delivery_warnings import record_warnings
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import DRIFT_SCHEMA
from pipeline.morning.page import render_morning_page, write_morning_page
from pipeline.morning.state import SeenError
from pipeline.morning.summary import summarize
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance
from pipeline.reports.index import index_page, list_of_pages, read_file
from pipeline.reports.page import Link
from pipeline.training.monitored import DRIFT_TABLE

if TYPE_CHECKING:
    from pipeline.morning.state import Line
    from pipeline.settings import Settings

MODEL = "customer_segments"
FIRST = date(2025, 3, 3)  # a Monday


@pytest.fixture
def shop(till: Any, home: Settings) -> Any:
    """Three days of deliveries, scored up to the third morning, and a champion as of the first."""
    settings = till.settings.model_copy(update={"tracking_uri": home.mlflow_uri})
    shop = replace(till, settings=settings)
    for number in range(3):
        day = FIRST + timedelta(days=number)
        shop.deliver(f"{day}.csv", [shop.line(line, day=str(day)) for line in range(number + 2)])
        score(settings, day + timedelta(days=1), customers=200 + number)
    frame = pd.DataFrame({"revenue": [1.0, 2.0]})
    registry = Registry(settings)
    given = Provenance(FIRST + timedelta(days=1), {"customer_features": 0}, ("revenue",), seed=7, code="abc123")
    version = registry.log_challenger(
        MODEL, LinearRegression().fit(frame, [1.0, 2.0]), provenance=given, metrics={}, example=frame
    )
    registry.promote(MODEL, version.version, by="test", reason="first")
    return shop


def score(settings: Settings, as_of: date, customers: int) -> None:
    rows = pa.table(
        {
            "customer_id": [str(n) for n in range(customers)],
            "as_of": pa.array([as_of] * customers, pa.date32()),
            "revenue": np.full(customers, 2.5),
        }
    )
    Lake(settings).replace("customer_features", {"as_of": [as_of]}, rows)
    Lake(settings).replace("customer_segments", {"as_of": [as_of]}, rows)


def check(settings: Settings, as_of: date, drifted: int, *, retrain: bool = False) -> None:
    rows = [
        {"as_of": as_of, "model": MODEL, "model_version": 1, "column": f"column_{n}", "kind": "data", "method": "psi"}
        | {"threshold": 0.1, "score": 0.2, "drifted": n < drifted, "reference_rows": 9, "current_rows": 9}
        for n in range(4)
    ]
    table = pa.Table.from_pylist(rows, schema=DRIFT_SCHEMA)
    Lake(settings).replace(DRIFT_TABLE, {"as_of": [as_of], "model": [MODEL]}, table)
    Lake(settings).write_blob(f"reports/drift/{MODEL}/{as_of}.json", json.dumps({"retrain": retrain}).encode())


def line(settings: Settings, subject: str) -> Line:
    (found,) = (line for line in summarize(settings).lines if line.subject == subject)
    return found


def test_an_empty_home_has_a_page_that_says_so(home: Settings) -> None:
    assert summarize(home).lines == ()
    assert "Nothing is scored yet" in render_morning_page(summarize(home))


def test_a_quiet_morning_is_all_well(shop: Any) -> None:
    check(shop.settings, FIRST + timedelta(days=3), 0)
    morning = summarize(shop.settings)
    verdicts = {line.subject: line.verdict for line in morning.lines}
    assert (verdicts["customers"], verdicts[MODEL]) == ("well", "no drift")
    assert not any(line.tone == "bad" for line in morning.lines)
    customers = line(shop.settings, "customers")
    assert [(f.label, f.values) for f in customers.figures] == [
        ("customers", (200, 201, 202)),
        ("revenue of their year", (500, 502.5, 505)),
    ]
    assert morning.day == FIRST + timedelta(days=3)
    assert customers.todo == ""
    assert "Nothing is wrong." in render_morning_page(morning)


def test_what_came_in_and_the_models_in_use(shop: Any) -> None:
    morning = summarize(shop.settings)
    (arrival,) = morning.arrivals
    assert (arrival.entry.delivery, arrival.entry.read, arrival.recent) == (
        f"till--{FIRST + timedelta(days=2)}.csv",
        4,
        3,
    )
    assert (arrival.recent_rows, arrival.recent_quarantined, arrival.usual_share) == (2 + 3 + 4, 0, 0.0)
    delivery = arrival.entry.delivery
    assert arrival.page == Link(delivery, f"validation/transactions/{delivery}.html")
    (model,) = morning.models
    assert (model.name, model.version, model.age, model.error) == (MODEL, 1, 2, None)


def test_the_figures_of_the_page_are_those_of_the_files(shop: Any) -> None:
    """Counted from the files that were delivered, one of whose rows is faulty, and from the lines of the page."""
    day = FIRST + timedelta(days=3)
    shop.deliver(f"{day}.csv", [shop.line(day=str(day)), shop.line(2, quantity="x", day=str(day))])
    html = render_morning_page(summarize(shop.settings))
    tiles = re.findall(r'<strong class="\w*">([^<]*)</strong><span>([^<]*)</span></div>', html)
    shown = {label: value for value, label in tiles}
    found = re.findall(r'<div class="verdict (\w+)">', html)
    assert shown["to look at"] == str(found.count("bad")) == "1"
    assert shown["not there yet"] == str(found.count("wait"))
    newest = (shop.folder / f"transactions/{day}.csv").read_text().splitlines()[1:]
    assert shown["rows in the newest deliveries"] == str(len(newest)) == "2"
    files = [path.read_text().splitlines()[1:] for path in (shop.folder / "transactions").glob("*.csv")]
    rows, faulty = sum(map(len, files)), sum(",x," in row for file in files for row in file)
    cells = re.findall(r"<td[^>]*>(?:<a [^>]*>)?([^<]*)", html[html.index("What came in") :])
    expected = ["50.0 % (usually 0.0 %)", str(len(files)), str(rows), f"{100 * faulty / rows:.1f} %"]
    assert [cell for cell in expected if cell not in cells] == []


def test_a_refused_delivery_comes_first_with_its_reason(shop: Any) -> None:
    shop.write("2025-03-06.csv", b"no,such,columns\n1,2,3\n")
    with pytest.raises(RefusedError):
        ingestion.ingest(shop.settings, shop.found("2025-03-06.csv"))
    first = summarize(shop.settings).lines[0]
    assert (first.subject, first.verdict) == ("transactions: till--2025-03-06.csv", "refused")
    assert first.news[0]
    assert first.todo == "aisle ingest transactions --all"
    shop.deliver("2025-03-06.csv", [shop.line(day="2025-03-06")])
    assert "refused" not in {line.verdict for line in summarize(shop.settings).lines}


def test_unusual_deliveries_and_missing_days_are_named(shop: Any) -> None:
    late = FIRST + timedelta(days=4)
    shop.deliver(f"{late}.csv", [shop.line(day=str(late))])
    score(shop.settings, late + timedelta(days=1), 200)
    record_warnings(
        Lake(shop.settings), "transactions", "till--x.csv", [FIRST, late], ["takings are high (9)"], replaced=()
    )
    found = line(shop.settings, "customers")
    assert found.verdict == "unusual data"
    assert found.news[:2] == (
        "1 unusual delivery within 14 days, the newest with rows of 2025-03-07",
        "takings are high (9)",
    )
    assert found.news[-1] == "no rows of 2025-03-06"
    assert found.todo == "aisle ingest transactions --from 2025-03-06 --until 2025-03-07"
    assert list(found.verdicts.values()) == ["unusual data"] * 4


def test_of_each_kind_of_warning_the_newest_is_shown_with_its_figures(shop: Any) -> None:
    lake = Lake(shop.settings)
    for day, reasons in (
        (FIRST, ["takings are high (9)", "prices are low (1)"]),
        (FIRST + DAY, ["takings are high (8)"]),
    ):
        record_warnings(lake, "transactions", f"till--{day}.csv", [day], reasons, replaced=())
    assert line(shop.settings, "customers").news[:3] == (
        f"2 unusual deliveries within 14 days, the newest with rows of {FIRST + DAY}",
        "takings are high (8)",
        "prices are low (1)",
    )


def test_days_beside_an_unusual_delivery_are_well(shop: Any) -> None:
    second = FIRST + timedelta(days=1)
    record_warnings(Lake(shop.settings), "transactions", "till--x.csv", [second], ["takings are high (9)"], replaced=())
    assert list(line(shop.settings, "customers").verdicts.values()) == ["well", "unusual data", "well"]


def test_rows_that_are_not_scored_yet_are_said(shop: Any) -> None:
    shop.deliver("2025-03-06.csv", [shop.line(day="2025-03-06")])
    found = line(shop.settings, "customers")
    assert (found.verdict, found.todo) == ("behind", "aisle score customers --day 2025-03-07")


def test_a_model_that_drifts_names_the_columns_and_one_that_is_to_be_trained_the_command(shop: Any) -> None:
    assert line(shop.settings, MODEL).verdict == "not checked"
    check(shop.settings, FIRST + timedelta(days=2), 0)
    check(shop.settings, FIRST + timedelta(days=3), 2)
    drifting = line(shop.settings, MODEL)
    assert (drifting.verdict, drifting.todo) == ("drift", "")
    assert drifting.news[0] == "other values than at the training: column 0; column 1"
    assert drifting.figures[0].values == (0, 2)
    assert list(drifting.verdicts.values()) == ["no drift", "drift"]
    check(shop.settings, FIRST + timedelta(days=3), 2, retrain=True)
    due = line(shop.settings, MODEL)
    assert (due.verdict, due.todo) == ("training due", f"aisle train {MODEL}")


def test_a_drift_after_an_unusual_delivery_leads_to_the_delivery(shop: Any) -> None:
    delivery = f"till--{FIRST}.csv"
    check(shop.settings, FIRST + timedelta(days=3), 1)
    assert not any("unusual" in sentence for sentence in line(shop.settings, MODEL).news)
    record_warnings(Lake(shop.settings), "transactions", delivery, [FIRST], ["takings are high (9)"], replaced=())
    drifting = line(shop.settings, MODEL)
    assert drifting.news[1] == "the rows come from unusual deliveries: look at these before the model"
    assert [link.href for link in drifting.links] == [f"validation/transactions/{delivery}.html"]


def test_a_model_in_use_shows_the_error_that_was_promised_and_the_one_that_is_seen(shop: Any) -> None:
    day = FIRST + timedelta(days=3)
    check(shop.settings, day, 0)
    performance = {"metric": "mape", "expected": 0.076, "observed": 0.25, "rows": 1234}
    file = f"reports/drift/{MODEL}/{day}.json"
    Lake(shop.settings).write_blob(file, json.dumps({"retrain": False, "performance": performance}).encode())
    (model,) = summarize(shop.settings.model_copy(update={"mlflow_url": "https://mlflow.example.org/"})).models
    assert model.error == SeenError("mape", 0.076, 0.25, 1234)
    assert model.registered == Link("1 in MLflow", f"https://mlflow.example.org/#/models/{MODEL}/versions/1")
    page = render_morning_page(summarize(shop.settings))
    assert [text for text in ("mean error in per cent", "7.6 %", "25.0 %", "1,234") if text not in page] == []


def test_days_whose_delivery_is_late_are_named(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deliveries land the morning after their rows, so that of the day after the last one is awaited."""
    entries, landed = ledger.entries, datetime(2025, 3, 6, 5, tzinfo=UTC)
    monkeypatch.setattr(ledger, "entries", lambda *args: [replace(e, landed_at=landed) for e in entries(*args)])

    def found(now: datetime) -> Line:
        return next(line for line in summarize(shop.settings, now).lines if line.subject == "customers")

    assert found(landed).verdict == "well"
    assert found(landed + timedelta(days=1)).verdict == "awaited"
    late = found(landed + timedelta(days=4))
    assert (late.verdict, late.news[0]) == ("no delivery", "no rows of 2025-03-06 to 2025-03-08"), "closed on Sundays"
    assert late.todo == "aisle ingest transactions --from 2025-03-06 --until 2025-03-09"


def test_history_that_is_loaded_awaits_no_delivery(shop: Any) -> None:
    lines = summarize(shop.settings, now=datetime.now(UTC) + timedelta(days=9)).lines
    assert next(line.verdict for line in lines if line.subject == "customers") == "well"


def test_the_grid_leads_to_the_page_of_each_day_that_has_one(shop: Any) -> None:
    lake, days = Lake(shop.settings), [FIRST + timedelta(days=n) for n in (1, 2, 3)]
    lake.write_blob(f"reports/customers/{days[1]}.html", b"page")
    html = render_morning_page(summarize(shop.settings))
    grid = html[html.index("The last 14 days") :]
    assert f'href="customers/{days[1]}.html" title="well" aria-label="customers, {days[1]}: well"' in grid
    assert grid.count("<td><a ") == 1
    assert grid.count("<td><span ") == 2


def test_a_domain_without_champion_says_what_to_train(till: Any, home: Settings) -> None:
    till.deliver("2025-03-03.csv", [till.line()])
    settings = till.settings.model_copy(update={"tracking_uri": home.mlflow_uri})
    assert line(settings, "customers").todo == f"aisle train {MODEL}"
    assert line(settings, MODEL).verdict == "no champion"


def test_the_page_is_the_first_of_the_reports_and_leads_to_all_pages(shop: Any) -> None:
    lake = Lake(shop.settings)
    assert "This morning" not in index_page(lake)
    assert write_morning_page(shop.settings) == "reports/index.html"
    assert "This morning" in index_page(lake)
    assert "This morning" not in list_of_pages(lake)
    found = read_file(lake, "all.html")
    assert found is not None
    assert b"Validation" in found[0]
    assert read_file(lake, "validation/transactions/pages.js") is not None


def test_text_of_a_delivery_stays_text(shop: Any) -> None:
    record_warnings(
        Lake(shop.settings), "transactions", "till--x.csv", [FIRST], ["<script>alert(1)</script>"], replaced=()
    )
    page = render_morning_page(summarize(shop.settings))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
