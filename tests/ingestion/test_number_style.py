"""How the numbers of pages are written follows from `sources.yaml`, and a faulty one stops no page."""

from __future__ import annotations

from pathlib import Path

from pipeline.ingestion.fingerprint import rules_fingerprint
from pipeline.ingestion.number_style import number_style
from pipeline.ingestion.sources import load_sources
from pipeline.reports.phrasing import NumberStyle, amount, written_in
from pipeline.settings import Settings

TEXT = """\
time_zone: UTC
home_country: Germany
currency: EUR
locale: de
tables:
  footfall:
    door: {from: a.csv, columns: {day: Day, visitors: In, buyers: Out}}
  stores:
    register:
      from: b.csv
      columns: {store: A, store_type: B, assortment: C, promo2: D}
      currency: USD
"""


def written(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "sources.yaml"
    file.write_text(text, encoding="utf-8")
    return Settings(sources=file, data=str(tmp_path))


def test_a_page_has_the_locale_and_the_currencies_of_the_file(tmp_path: Path) -> None:
    style = number_style(written(tmp_path, TEXT), "footfall")
    assert style == NumberStyle("de", {"footfall": "EUR", "stores": "USD"}, "footfall")
    with written_in(style):
        assert (amount(1500), amount(1500, "stores")) == ("1.500\xa0€", "1.500\xa0$")


def test_a_faulty_file_gives_amounts_without_a_currency(tmp_path: Path) -> None:
    assert number_style(written(tmp_path, TEXT.replace("EUR", "EURO")), "footfall") == NumberStyle(table="footfall")


def test_a_currency_is_no_reason_to_judge_deliveries_again(tmp_path: Path) -> None:
    def of_stores(text: str) -> str:
        settings = written(tmp_path, text)
        return rules_fingerprint(settings, load_sources(settings).get("stores"), None)

    assert of_stores(TEXT) == of_stores(TEXT.replace("USD", "CHF"))
    assert of_stores(TEXT) != of_stores(TEXT.replace("promo2: D", "promo2: I"))
