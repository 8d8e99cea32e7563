"""Stores and store days: the same rows give the same, correct table from CSV, workbook and Parquet."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from openpyxl import Workbook

from pipeline.contracts import CONTRACTS
from pipeline.ingestion.mapping import MappedRows, map_rows
from pipeline.ingestion.readers import read_rows
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.sources import NamedSource, load_sources
from pipeline.settings import Settings

SOURCES = Path(__file__).resolve().parents[2] / "examples" / "open-data" / "sources.yaml"
LETTERS = {"none": "0", "public": "a", "easter": "b", "christmas": "c"}
PERHAPS_MONTH = st.none() | st.dates(dt.date(1900, 1, 1), dt.date(2030, 1, 1)).map(lambda day: day.replace(day=1))
PERHAPS_MONDAY = st.none() | st.dates(dt.date(2000, 1, 10), dt.date(2030, 1, 1)).map(
    lambda day: day - dt.timedelta(days=day.weekday())
)
STORE = st.fixed_dictionaries(
    {
        "store": st.integers(1, 9999),
        "store_type": st.sampled_from(["a", "d", "Flagship"]),
        "assortment": st.sampled_from(["a", "extra"]),
        "competition_distance": st.none() | st.integers(0, 80000).map(float),
        "competition_since": PERHAPS_MONTH,
        "promo2": st.booleans(),
        "promo2_since": PERHAPS_MONDAY,
        "promo2_months": st.sampled_from([None, "Jan,Apr,Jul,Oct", "Mar,Jun,Sep,Dec"]),
        "state": st.sampled_from([None, "HB,NI"]),
    }
)
DAY = st.fixed_dictionaries(
    {
        "store": st.integers(1, 9999),
        "day": st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)),
        "sales": st.integers(0, 50000).map(float),
        "customers": st.none() | st.integers(0, 9999),
        "open": st.none() | st.booleans(),
        "promo": st.booleans(),
        "state_holiday": st.sampled_from(list(LETTERS)),
        "school_holiday": st.booleans(),
    }
)


def of_store(row: dict[str, Any]) -> dict[str, Any]:
    """A store as the published file has it."""
    opened, since = row["competition_since"], row["promo2_since"]
    months = row["promo2_months"]
    return {
        "Store": row["store"],
        "StoreType": row["store_type"],
        "Assortment": row["assortment"],
        "CompetitionDistance": row["competition_distance"],
        "CompetitionOpenSinceMonth": opened.month if opened else None,
        "CompetitionOpenSinceYear": opened.year if opened else None,
        "Promo2": int(row["promo2"]),
        "Promo2SinceWeek": since.isocalendar().week if since else None,
        "Promo2SinceYear": since.isocalendar().year if since else None,
        "PromoInterval": months.replace("Sep,", "Sept,") if months else None,
        "State": row["state"],
    }


def of_day(row: dict[str, Any]) -> dict[str, Any]:
    """A store day as the published file has it."""
    return {
        "Store": row["store"],
        "DayOfWeek": row["day"].isoweekday(),
        "Date": row["day"].isoformat(),
        "Sales": row["sales"],
        "Customers": row["customers"],
        "Open": None if row["open"] is None else int(row["open"]),
        "Promo": int(row["promo"]),
        "StateHoliday": LETTERS[row["state_holiday"]],
        "SchoolHoliday": int(row["school_holiday"]),
    }


def forms(records: list[dict[str, Any]]) -> dict[str, bytes]:
    """The records as CSV, as pandas writes a CSV (whole numbers with gaps get a fraction), workbook and Parquet."""
    plain, book, parquet = io.StringIO(), io.BytesIO(), io.BytesIO()
    writer = csv.DictWriter(plain, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("rows")
    sheet.append(list(records[0]))
    for record in records:
        # A workbook does not keep the text 0 and the number 0 apart.
        sheet.append([0 if cell == "0" else cell for cell in record.values()])
    workbook.save(book)
    frame = pd.DataFrame(records)
    frame.to_parquet(parquet)
    return {
        "csv": plain.getvalue().encode(),
        "csv of pandas": frame.to_csv(index=False).encode(),
        "xlsx": book.getvalue(),
        "parquet": parquet.getvalue(),
    }


def conformed(source: NamedSource, data: bytes, kind: str) -> MappedRows:
    form = Format.model_validate({"type": kind.split()[0]})
    return map_rows(read_rows(data, "x", form), source, CONTRACTS[source.table])


@pytest.mark.parametrize(("table", "rows", "published"), [("stores", STORE, of_store), ("store_days", DAY, of_day)])
def test_the_same_rows_give_the_same_table(table: str, rows: Any, published: Any) -> None:
    source = load_sources(Settings(sources=SOURCES)).get(table)

    @given(st.lists(rows, min_size=1, max_size=6))
    @examples(max_examples=25)
    def holds(made: list[dict[str, Any]]) -> None:
        for kind, data in forms([published(row) for row in made]).items():
            done = conformed(source, data, kind)
            assert done.faults == {}, kind
            assert done.rows.select(list(made[0])).to_pylist() == made, kind

    holds()
