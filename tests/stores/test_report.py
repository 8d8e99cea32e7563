"""The stores' page is complete, works offline, and says where data are missing."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, replace
from html import unescape
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd
import pytest

from pipeline.lake.tables import Lake
from pipeline.registry.records import ModelVersion, Provenance
from pipeline.reports.csv_text import read_csv
from pipeline.reports.phrasing import count
from pipeline.settings import Settings
from pipeline.simulate.store_days import Chain, Effects
from pipeline.stores import analysis
from pipeline.stores.domain import DOMAIN, SUMS_TABLE
from pipeline.stores.report import StoresReport, write_stores_report
from pipeline.stores.steps import write_report
from pipeline.training import lifecycle, scoring
from tests.stores.simulated import AS_OF as AS_OF_CHAIN
from tests.stores.simulated import LATER

if TYPE_CHECKING:
    from pathlib import Path

    from ibis.backends.duckdb import Backend

FIRST, AS_OF, END = dt.date(2013, 1, 7), dt.date(2014, 2, 3), dt.date(2014, 3, 17)
MODULES = [import_module(f"{analysis.__name__}.{module.name}") for module in iter_modules(analysis.__path__)]
HEADINGS = {text for module in MODULES for name, text in vars(module).items() if name.startswith("HEADING")}


@dataclass(frozen=True)
class Made:
    """A page as it was written."""

    html: str

    @property
    def text(self) -> str:
        body = re.sub(r"<(script|style).*?</\1>", " ", self.html, flags=re.DOTALL)
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))

    def section(self, heading: str) -> str:
        """The text of a section."""
        parts = re.findall(r'<section id="[^"]*">(.*?)</section>', self.html, flags=re.DOTALL)
        (found,) = (part for part in parts if heading in unescape(part.split("</h2>")[0]))
        return Made(found).text


def a_version() -> ModelVersion:
    values = {"name": "store_sales", "version": 3, "provenance": Provenance(AS_OF, {}, ("promo",), 7, "abc123")}
    wanted = ModelVersion.__dataclass_fields__
    return ModelVersion(**{name: values.get(name) for name in wanted})  # type: ignore[arg-type]


def a_forecast(days: pd.DataFrame) -> pd.DataFrame:
    """A forecast that is 10 % too high on every open day."""
    mean = 1.1 * days["sales"]
    ends = {"low_80": 0.8, "high_80": 1.2, "low_95": 0.7, "high_95": 1.3}
    return days[["store", "day", "open"]].assign(mean=mean, **{name: mean * times for name, times in ends.items()})


def a_report(con: Backend, chain: Chain, *, plain: bool = False) -> StoresReport:
    """A report on a simulated chain; plain: without promotions, holidays, customers, closures and competitors."""
    days = chain.days(FIRST, END).to_pandas()
    if plain:
        days = days.assign(promo=False, state_holiday="none", school_holiday=False, customers=None, open=True)
        days["sales"] = days["sales"].where(days["sales"] > 0, 100.0)
    days["customers"] = days["customers"].astype("Int64")
    table = con.create_table(ibis.util.gen_name("days"), days)
    table = table.mutate(day=table.day.cast("date"))
    ahead = table.day >= ibis.date(AS_OF)
    kinds_of = con.create_table(ibis.util.gen_name("stores"), chain.stores())
    if plain:
        kinds_of = kinds_of.mutate(competition_distance=ibis.null("float64"), competition_since=ibis.null("date"))
    coming, past = days[days["day"] >= AS_OF], days[days["day"] < AS_OF]
    before = past[past["day"] >= AS_OF - dt.timedelta(days=42)]
    return StoresReport(
        as_of=AS_OF,
        version=a_version(),
        store_days=table.filter(~ahead),
        stores=kinds_of,
        plans=table.filter(ahead).drop("sales", "customers"),
        forecasts=a_forecast(coming),
        earlier=a_forecast(before).assign(sales=before["sales"], as_of=AS_OF - dt.timedelta(days=42)),
        evidence={},
    )


def written(tmp_path: Path, con: Backend, report: StoresReport) -> Made:
    lake = Lake(Settings(home=str(tmp_path)))
    path = write_stores_report(lake, con, report)
    assert path == f"reports/stores/{AS_OF}.html"
    return Made(lake.path(path).read_text())


@pytest.fixture(scope="module")
def con() -> Backend:
    return ibis.duckdb.connect(threads=2)


@pytest.fixture(scope="module")
def report(con: Backend) -> StoresReport:
    return a_report(con, Chain(seed=7, count=30))


@pytest.fixture(scope="module")
def page(con: Backend, report: StoresReport, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return written(tmp_path_factory.mktemp("home"), con, report)


def strict(html: str) -> list[Any]:
    """Everything that the scripts of a page are given, as JSON knows no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found = [m.end() for m in re.finditer(r'(const data = |id="figure-data">)(?=\{)', html)]
    return [json.JSONDecoder(parse_constant=refuse).raw_decode(html[at:])[0] for at in found]


def test_every_section_is_there_with_its_sentences(page: Made) -> None:
    headings = {unescape(found) for found in re.findall(r"<h2>(.*?)</h2>", page.html)}
    assert headings == HEADINGS
    for heading in HEADINGS:
        assert unescape(page.html).count(f">{heading}</a>") == 1, "the contents lead to it"
    assert all("<p" in part for part in re.findall(r"<section.*?</section>", page.html, flags=re.DOTALL))


def test_the_page_loads_nothing_from_the_network(page: Made) -> None:
    assert not re.search(r'(src|href)="(https?:)?//', page.html)
    assert '<script src="../assets/plotly.min.js">' in page.html


def test_scripts_get_valid_json_and_no_sentence_contains_nan(page: Made) -> None:
    widget, figures = strict(page.html)
    assert len(widget["stores"]) == 30
    assert len(figures) >= 14
    assert not re.search(r"\b(nan|None|NaT|inf)\b", page.text)


def test_the_planted_promotion_is_on_the_page(page: Made) -> None:
    text = re.search(r"With promotion a store sells ([\d.]+) % more", page.text)
    assert text is not None
    assert float(text[1]) == pytest.approx(100 * np.expm1(Effects().promotion), abs=2)


def test_the_last_forecast_is_compared_with_actual_sales(page: Made) -> None:
    assert "so the forecast was 10.0 % above actual sales" in page.section(analysis.forecast_errors.HEADING_ERRORS)
    assert "with large errors counting more, 10.0 %" in page.section(analysis.forecast_errors.HEADING_ERRORS)


def test_with_some_stores_planned_every_line_and_sum_is_of_these_stores(
    con: Backend, report: StoresReport, tmp_path: Path
) -> None:
    """The forecast is 10 % above last year for each planned store, whatever the other stores sold."""
    planned = report.forecasts[report.forecasts["store"] <= 20]
    days = report.store_days.mutate(sales=ibis.ifelse(report.store_days.store > 20, 1e6, report.store_days.sales))
    year_ago = days.filter(days.store <= 20).select("store", day=days.day + ibis.interval(days=364), ago=days.sales)
    matched = planned.merge(year_ago.to_pandas().assign(day=lambda rows: rows["day"].dt.date), on=["store", "day"])
    forecast = matched.assign(mean=1.1 * matched["ago"])
    page = written(
        tmp_path,
        con,
        replace(
            report,
            store_days=days,
            plans=report.plans.filter(report.plans.store <= 20),
            forecasts=forecast[planned.columns],
        ),
    )
    text = page.section(analysis.forecasts.HEADING_CHAIN)
    total, year_ago_total = (f"{forecast[name].sum():,.0f}" for name in ("mean", "ago"))
    assert f"The 20 planned stores will sell {total} in total" in text
    assert f"10.0 % more than the {year_ago_total} that the same stores sold" in text
    assert "10 stores of the 30 known have no planned days" in text
    widget, figures = strict(page.html)
    lines = {trace["name"]: trace["y"] for trace in figures["figure-1"]["data"]}
    assert sum(lines["forecast"]) == pytest.approx(forecast["mean"].sum(), rel=1e-6)
    assert sum(lines["forecast of these stores"]) == pytest.approx(forecast["mean"].sum(), rel=1e-6)
    assert sum(lines["52 weeks earlier"]) == pytest.approx(forecast["ago"].sum(), rel=1e-6)
    assert max(value for value in lines["sales"] if value) < 1e6
    assert (widget["stores"], widget["unplanned"]) == (list(range(1, 21)), list(range(21, 31)))
    assert "forecast for 20 planned stores" in page.text


def test_other_data_make_other_sentences(con: Backend, page: Made, tmp_path: Path) -> None:
    weak = Effects(promotion=-0.1, weekday=(0, 0, 0, 0, 0.4, 0, 0), eve=-0.2)
    other = written(tmp_path, con, a_report(con, Chain(seed=7, count=30, effects=weak)))
    assert re.search(r"With promotion a store sells [\d.]+ % less", other.text)
    assert "Without promotion the best day is Friday" in other.text
    assert "Without promotion the best day is Monday" in page.text
    assert re.search(r"On the day before a state holiday, sales are [\d.]+ % below", other.text)
    assert re.search(r"On the day before a state holiday, sales are [\d.]+ % above", page.text)


def test_planned_days_beyond_the_forecast_are_said(con: Backend, report: StoresReport, tmp_path: Path) -> None:
    last = max(report.forecasts["day"])
    for days, said in ((0, False), (6, True)):
        planned = replace(report, planned_until=last + dt.timedelta(days=days))
        assert (f"the plan reaches to {planned.planned_until}" in written(tmp_path, con, planned).html) is said


def test_sections_without_data_say_so(con: Backend, tmp_path: Path) -> None:
    plain = a_report(con, Chain(seed=7, count=6), plain=True)
    page = written(tmp_path, con, replace(plain, earlier=pd.DataFrame()))
    for heading, text in {
        analysis.forecast_errors.HEADING_ERRORS: "There are no sales yet for the days of an earlier forecast.",
        analysis.promotion_plans.HEADING_PLANS: "No store had a promotion in the past, and none has one",
        analysis.promotions.HEADING_EFFECT: analysis.promotions.NOT_COMPARABLE,
        analysis.promotions.HEADING_STORES: analysis.promotions.NOT_COMPARABLE,
        analysis.holidays.HEADING: "The data have no state holidays.",
        analysis.openings.HEADING_CLOSURES: "No store was closed for 4 days or more",
        analysis.store_types.HEADING_CUSTOMERS: "Customers were not counted.",
        analysis.competition.HEADING_DISTANCE: "The distance of the nearest competitor is known for too few stores",
        analysis.competition.HEADING_OPENED: "No competitor opened near a store",
        analysis.correlations.HEADING: "These never vary, so they have no correlation: customers",
        analysis.seasonality.HEADING: "The data cover less than two years",
        analysis.evidence.HEADING_IMPORTANCE: "No feature importance was stored",
        analysis.evidence.HEADING_PARTIAL: "No partial effects were stored",
        analysis.evidence.HEADING_BACKTEST: "No backtest was stored",
    }.items():
        assert text in page.section(heading), heading
    assert not re.search(r"\b(nan|None|NaT|inf)\b", page.text)
    strict(page.html)


def test_no_table_is_left_in_the_engine(con: Backend, report: StoresReport, tmp_path: Path) -> None:
    before = set(con.list_tables())
    written(tmp_path, con, report)
    assert set(con.list_tables()) == before


def test_the_page_of_a_later_morning_shows_the_errors_of_the_earlier_forecast_and_the_sums(chain: Settings) -> None:
    lifecycle.build_features(chain, DOMAIN, LATER)
    scoring.score(chain, DOMAIN, LATER)
    lake = Lake(chain)
    page = Made(lake.path(write_report(chain, LATER)).read_text())
    assert f"The forecast made on {AS_OF_CHAIN:%-d %B %Y} for the 42 days" in page.section(
        analysis.forecast_errors.HEADING_ERRORS
    )
    columns, *lines = read_csv(lake.path(f"reports/stores/{LATER}-sums.csv").read_text(), "sums")
    table = lake.read(SUMS_TABLE, where={"as_of": [LATER]}).to_pandas()
    order = ["kind", "sum"]
    listed = pd.DataFrame(lines, columns=columns).astype({"sum": float}).sort_values(order, ignore_index=True)
    table = table.sort_values(order, ignore_index=True)
    assert listed["kind"].tolist() == table["kind"].tolist()
    np.testing.assert_allclose(listed["high_95"].astype(float), table["high_95"], atol=0.01)
    assert listed["first"].tolist() == table["first"].astype(str).tolist()
    assert f'href="{LATER}-sums.csv"' in page.html
    chain_sum = table.loc[table["kind"] == "chain", "low_80"].iloc[0]
    assert f"The total lies between {count(chain_sum)} and" in page.section(analysis.forecasts.HEADING_CHAIN)
    assert f"; in 80 of 100 cases {count(chain_sum)} to " in page.html
    of_stores = table[table["kind"] == "store"].set_index("store")[["low_80", "high_80"]]
    totals = json.loads(re.search(r'"total": (\[\[.*?\]\])', page.html)[1])  # type: ignore[index]
    np.testing.assert_allclose(totals, of_stores.sort_index(), rtol=1e-4)
