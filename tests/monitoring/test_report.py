"""The drift page: its figures are those of the rows, in words and with units, beside our verdicts and thresholds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.lake.tables import Lake
from pipeline.monitoring.distributions import distributions
from pipeline.monitoring.drift import DriftOutcome, compare
from pipeline.monitoring.report import write_drift_page
from pipeline.reports.labels import Label
from pipeline.reports.phrasing import NumberStyle, written_in
from pipeline.settings import Settings
from pipeline.training.monitored import AMOUNT, FEW, NUMBER, Performance

ROWS = 600
COLUMNS = {"ticket": AMOUNT, "weekday": FEW, "age": NUMBER}
LABELS = {
    "ticket": Label("average ticket", kind="amount"),
    "weekday": Label("favourite weekday", codes={"0": "Monday", "1": "Tuesday"}),
    "age": Label("age", "years"),
}
DAY = date(2025, 2, 1)
HISTORY = {"ticket": [(date(2025, 1, 30), 0.05), (date(2025, 1, 31), 0.15), (DAY, 2.5)], "age": [(DAY, 0.01)]}


def rows(seed: int, tickets: float = 1.0, tuesdays: float = 0.2) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "ticket": tickets * random.lognormal(4, 1, ROWS),
            "weekday": random.choice([0.0, 1.0], ROWS, p=[1 - tuesdays, tuesdays]),
            "age": random.normal(40, 10, ROWS),
        }
    )


THEN, NOW, ASKED = rows(1), rows(2, tickets=30.0, tuesdays=0.6), rows(3, tickets=2.0)


@pytest.fixture(scope="module")
def outcome() -> DriftOutcome:
    limits = {"seed": 7, "sample": 5_000, "minimum_rows": 500}
    found = compare(THEN, NOW, COLUMNS, **limits).with_requests(compare(THEN, ASKED, {"ticket": AMOUNT}, **limits))
    found = found.with_performance(Performance("mape", 0.2, 0.1, 900, 1.5))
    return replace(found, distributions=distributions(THEN, NOW, ASKED[["ticket"]], COLUMNS))


def written(lake: Lake, outcome: DriftOutcome) -> str:
    version: Any = type("Version", (), {"name": "customer_value", "version": 3})()
    version.provenance = type("Provenance", (), {"as_of": date(2025, 1, 1)})()
    with written_in(NumberStyle(currencies={"transactions": "GBP"}, table="transactions")):
        path = write_drift_page(
            lake,
            version,
            outcome,
            day=DAY,
            retrain=False,
            reason="r",
            minimum=500,
            labels=LABELS,
            history=HISTORY,
        )
    return unescape(lake.open_blob(path).read().decode())


@pytest.fixture(scope="module")
def page(outcome: DriftOutcome, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(Lake(Settings(home=str(tmp_path_factory.mktemp("home")))), outcome)


def cells(page: str, name: str) -> list[str]:
    """The cells of a table's row, by the text of its first one."""
    (row,) = [row for row in re.findall(r"<tr>(.*?)</tr>", page) if re.search(rf">{name}</(a|td)>", row)][:1]
    return [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?>(.*?)</td>", row)]


def test_the_means_of_then_and_now_stand_beside_the_distance(page: str, outcome: DriftOutcome) -> None:
    then, now = np.exp(np.log(THEN["ticket"])).mean(), NOW["ticket"].sum() / ROWS
    score = next(column.score for column in outcome.columns if column.column == "ticket")
    assert score is not None
    expected = ["average ticket", "drifted", f"£{then:.2f}" if then < 100 else f"£{then:,.0f}", f"£{now:,.0f}"]
    assert cells(page, "average ticket")[:6] == [*expected, f"{score:.3f}", "0.200"]
    assert f"Average ticket: {expected[2]} on average at training, now {expected[3]}" in page
    assert f"half of the rows were below £{THEN['ticket'].median():.2f}, now £{NOW['ticket'].median():,.0f}" in page


def test_a_category_is_said_by_the_share_that_changed_most(page: str) -> None:
    then, now = ((side["weekday"] == 0).mean() for side in (THEN, NOW))
    assert cells(page, "favourite weekday")[2:4] == [f"Monday {100 * then:.1f} %", f"Monday {100 * now:.1f} %"]


def test_the_error_is_in_per_cent_beside_the_promised_one(page: str) -> None:
    assert cells(page, "mean error in per cent")[:4] == ["mean error in per cent", "drifted", "10.0 %", "20.0 %"]
    assert "mean error in per cent on 900 predictions, 10.0 % promised" in page


def test_what_the_service_was_asked_is_a_table_of_its_own(page: str) -> None:
    start = page.index("What the prediction service was asked")
    mean = ASKED["ticket"].mean()
    assert cells(page[start:], "average ticket")[:4] == [
        "average ticket",
        "differs",
        cells(page, "average ticket")[2],
        f"£{mean:,.0f}",
    ]


def figures(page: str) -> dict[str, Any]:
    (data,) = re.findall(r'id="figure-data">(.*?)</script>', page, re.S)
    found: dict[str, Any] = json.loads(data)
    return found


def test_bars_are_the_shares_of_the_rows_and_the_history_has_its_threshold(page: str) -> None:
    drawn = figures(page)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    heading = {title: number for number, title in enumerate(headings, 1)}
    of_weekday = drawn[f"figure-{heading['Favourite weekday']}"]["data"]
    tuesday = next(trace for trace in of_weekday if trace["name"] == "on this day")
    shares = dict(zip(tuesday["x"], tuesday["y"], strict=True))
    assert shares["Tuesday"] == pytest.approx(100 * (NOW["weekday"] == 1).mean())
    ticket = drawn[f"figure-{heading['Average ticket']}"]
    assert [trace["name"] for trace in ticket["data"][:3]] == ["at training", "on this day", "asked of the service"]
    assert ticket["data"][3]["y"] == [0.05, 0.15, 2.5]
    assert ticket["layout"]["shapes"][0]["y0"] == 0.2
    moved = drawn[f"figure-{heading['How the distances have moved']}"]["data"]
    lines = {trace["name"]: trace["y"] for trace in moved}
    assert lines["average ticket"] == pytest.approx([0.25, 0.75, 12.5])
    assert "on the 3 days on which this version was checked" in page


def test_every_name_in_the_table_leads_to_its_section(page: str) -> None:
    places = dict(re.findall(r'<a href="#([^"]+)">([^<]*)</a></td>', page))
    titles = dict(re.findall(r'<section id="([^"]+)">\s*<h2>(.*?)</h2>', page))
    assert len(places) == len(COLUMNS)
    assert {place: titles[place].lower() for place in places} == {p: n.lower() for p, n in places.items()}


def test_the_source_is_one_click_away_titled_and_with_a_way_back(outcome: DriftOutcome, tmp_path: Any) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    assert 'href="distributions/2025-02-01.html"' in written(lake, outcome)
    source = lake.open_blob("reports/drift/customer_value/distributions/2025-02-01.html").read()
    assert b"<title>Evidently: drift of customer value</title>" in source
    assert b'<a href="../2025-02-01.html"' in source


def test_a_column_that_drifted_by_missing_values_says_so(tmp_path: Any) -> None:
    now = rows(4).assign(age=lambda side: side["age"].where(side.index % 3 > 0))
    found = compare(THEN, now, {"age": NUMBER}, seed=7, sample=5_000, minimum_rows=300)
    found = replace(found, distributions=distributions(THEN, now, pd.DataFrame(), {"age": NUMBER}))
    page = written(Lake(Settings(home=str(tmp_path))), found)
    assert "It counts as drift because 0.0 % of the values were missing at training and 33.3 % are now." in page
    assert cells(page, "age")[-2:] == ["0.0 %", "33.3 %"]
