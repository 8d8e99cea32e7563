"""The forecast of the chain and of one store: the same stores in every line and sum, unknown days stay unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.lake.tables import Lake
from pipeline.reports.page import write_page
from pipeline.reports.parts import write_part
from pipeline.settings import Settings
from pipeline.stores.analysis import store_forecasts
from pipeline.stores.analysis.forecasts import HISTORY_DAYS, SalesHistory, chain_section, read_history
from pipeline.stores.analysis.store_forecasts import store_section
from tests.browser import document
from tests.stores.analysis.made_forecast import AS_OF, DAYS, make_forecast

EMPTY = pd.DataFrame()


def make_plan() -> pd.DataFrame:
    return make_forecast()[["store", "day"]].assign(promo=lambda f: f["day"] == DAYS[0])


@pytest.fixture
def store_days(by_hand, plain_days):
    """Store 1 has a year and a half of days, store 2 only the last hundred, and store 3 as many as store 1."""
    _, table = by_hand
    return table(
        plain_days(547, "2023-01-01")
        + plain_days(100, "2024-03-23", store=2, sales=50.0)
        + plain_days(547, "2023-01-01", store=3, sales=1000.0)
    )


@pytest.fixture
def history(store_days) -> SalesHistory:
    """The history of stores 1 and 2; store 3 is not planned."""
    return read_history(store_days, AS_OF, make_forecast())


def script_data(section) -> dict:
    """Return what the section's script is given."""
    begin = section.widget.index("const data = ") + len("const data = ")
    return json.JSONDecoder().raw_decode(section.widget[begin:])[0]


def lines(section) -> dict[str, list[float | None]]:
    """Return the values of each line of the section's chart."""
    return {trace["name"]: trace["y"] for trace in json.loads(section.figure)["data"]}


def test_history_is_that_of_the_stores_with_a_forecast(history) -> None:
    assert history.recent.index.tolist() == [1, 2]
    assert history.recent.shape == (2, HISTORY_DAYS)
    assert history.year_ago.shape == (2, 42)
    assert history.year_ago.loc[1].eq(100).all()
    assert history.year_ago.loc[2].isna().all(), "a day without a row has unknown sales, not 0"
    assert history.unplanned == [3]


def test_text_and_chart_have_the_same_sums_when_some_stores_are_not_planned(history) -> None:
    section = chain_section(make_forecast(), history)
    text, chart = section.sentences, lines(section)
    assert "The 2 planned stores will sell 9,240 in total in the 42 days from 1 July 2024 to 11 August 2024" in text[0]
    assert sum(chart["forecast"]) == pytest.approx(9240)
    assert set(chart["sales"]) == {150.0}, "stores 1 and 2 only"
    assert "For 1 store the sales of 52 weeks earlier are known, on 42 of the 84 planned store days." in text[1]
    assert "they will sell 4,620, 10.0 % more than the 4,200 that the same stores sold" in text[1]
    assert sum(chart["forecast of these stores"]) == pytest.approx(4620)
    assert sum(chart["52 weeks earlier"]) == pytest.approx(4200)
    assert text[2].startswith("1 store of the 3 known has no planned days, and therefore no forecast")


def test_totals_have_intervals_of_their_own(history) -> None:
    columns = ["what", "sum", "low_80", "high_80", "low_95", "high_95"]
    sums = pd.DataFrame(
        [("chain", 9240.0, 9000.0, 9500.0, 8800.0, 9700.0), ("state NW", 1.0, 1, 1, 1, 1)], columns=columns
    )
    section = chain_section(make_forecast(), history, sums)
    assert "The total lies between 9,000 and 9,500 in 80 of 100 such forecasts" in section.sentences[-1]
    assert section.table.rows[0] == ("chain", "9,240", "9,000", "9,500", "8,800", "9,700")
    assert chain_section(make_forecast(), history).table is None


def test_lines_of_a_partly_known_year_are_summed_over_the_same_store_days(by_hand, plain_days) -> None:
    _, table = by_hand
    start = DAYS[21] - pd.Timedelta(days=364)
    days = table(plain_days(547, "2023-01-01") + plain_days(340, f"{start:%Y-%m-%d}", store=2, sales=50.0))
    section = chain_section(make_forecast(), read_history(days, AS_OF, make_forecast()))
    chart = lines(section)
    assert chart["forecast of these stores"] == [110.0] * 21 + [220.0] * 21
    assert chart["52 weeks earlier"] == [100.0] * 21 + [150.0] * 21
    assert "they will sell 6,930, 32.0 % more than the 5,250" in section.sentences[1]


def test_with_every_store_known_there_is_one_comparison(by_hand, plain_days) -> None:
    _, table = by_hand
    forecast = make_forecast(stores=(1,))
    section = chain_section(forecast, read_history(table(plain_days(547, "2023-01-01")), AS_OF, forecast))
    assert section.sentences[1].startswith("That is 10.0 % more than the 4,200 that the same stores sold")
    assert len(section.sentences) == 2


def test_without_a_year_of_data_there_is_no_comparison(store_days) -> None:
    forecast = make_forecast(stores=(2,))
    section = chain_section(forecast, read_history(store_days, AS_OF, forecast))
    assert "there is no comparison with last year" in section.sentences[1]
    assert set(lines(section)) == {"sales", "forecast"}


def test_without_a_forecast_both_sections_say_so(store_days) -> None:
    empty = make_forecast().head(0)
    history = read_history(store_days, AS_OF, empty)
    for section in (chain_section(empty, history), store_section(empty, make_plan(), history, EMPTY, EMPTY)):
        assert section.sentences == ["There is no forecast: no store day is planned."]


def test_every_store_can_be_chosen_and_unknown_days_stay_unknown(history) -> None:
    section = store_section(make_forecast(), make_plan(), history, EMPTY, EMPTY)
    data = script_data(section)
    assert data["stores"] == [1, 2]
    assert (data["unplanned"], data["omitted"]) == ([3], [])
    assert data["mean"] == [[110] * 42] * 2
    assert data["low_95"][0][0] == 88
    assert data["ago"] == [[100] * 42, [None] * 42]
    assert data["promo"][0] == "0" * HISTORY_DAYS + "1" + "0" * 41
    assert (data["earlier"], data["why"]) == (None, None)
    assert "The median width of the 80 % interval is 20 % of the forecast" in section.sentences[1]
    assert "that of the 95 % interval 40 %." in section.sentences[1]


def test_of_too_many_stores_those_with_the_largest_forecasts_are_shown(
    history, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_forecasts, "MAX_STORES", 1)
    forecast = make_forecast().assign(mean=lambda f: np.where(f["store"] == 2, 200.0, 100.0))
    section = store_section(forecast, make_plan(), history, EMPTY, EMPTY)
    assert (script_data(section)["stores"], script_data(section)["omitted"]) == ([2], [1])
    assert "Choose one of 1 store, those with the largest forecasts of 2." in section.sentences[0]


def test_closed_stores_have_no_width(history) -> None:
    section = store_section(make_forecast(0.0), make_plan(), history, EMPTY, EMPTY)
    assert section.sentences[1] == "No store is open on the days to forecast."


def test_explanations_are_those_of_the_explained_stores(history) -> None:
    explained = pd.DataFrame(
        {"store": 1, "day": DAYS[0], "linear": 100.0, "forecast": 110.0, "feature": ["promo_day", "week"],
         "contribution": [0.08, -0.01]}
    )  # fmt: skip
    data = script_data(store_section(make_forecast(), make_plan(), history, EMPTY, explained))
    assert data["features"] == ["how long the promotion has run", "week of the year"]
    assert data["why"] == [[["2024-07-01", 100, 110, [[0, 8.0], [1, -1.0]]]], []]


def test_data_of_further_stores_is_in_parts_beside_the_page(history, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = script_data(store_section(make_forecast(), make_plan(), history, EMPTY, EMPTY))
    monkeypatch.setattr(store_forecasts, "PART_STORES", 1)
    parts = {}

    def write(start: int, rows: dict) -> str:
        parts[start] = rows
        return f"part-{start}.js"

    data = script_data(store_section(make_forecast(), make_plan(), history, EMPTY, EMPTY, write))
    assert data["parts"] == ["part-1.js"]
    assert data["stores"] == whole["stores"]
    for name, rows in parts[1].items():
        assert data[name] + rows == whole[name]
    assert parts[1].keys() == {name for name in store_forecasts.BY_STORE if whole[name] is not None}


def test_a_store_of_a_part_is_shown_when_it_is_chosen(history, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_forecasts, "PART_STORES", 1)
    lake = Lake(Settings(home=str(tmp_path)))

    def write(start: int, rows: dict) -> str:
        return f"parts/{write_part(lake, 'stores/parts', 'aisleStores', start, rows)}"

    forecast = make_forecast().assign(mean=lambda f: np.where(f["store"] == 2, 200.0, 100.0))
    totals = pd.DataFrame({"store": [2, 1], "low_80": [8000.0, 1.0], "high_80": [9000.0, 2.0]})
    section = store_section(forecast, make_plan(), history, EMPTY, EMPTY, write, totals)
    page = lake.path(write_page(lake, "stores/2024-07-01", "Stores", "", [section]))
    assert "Store 2 will sell 8,400 on 42 open days, in 80 of 100 such forecasts 8,000 to 9,000. The best" in document(
        f"file://{page}#store=2"
    )
    next(Path(str(page)).parent.glob("parts/*.js")).unlink()
    assert "The forecast of store 2 is in a file beside this page" in document(f"file://{page}#store=2")
