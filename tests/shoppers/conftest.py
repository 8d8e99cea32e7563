"""Visits and people as the lake would hold them: of the simulated shelf, of the open data, and written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.backends.duckdb import Backend

from pipeline.contracts import CONTRACTS
from pipeline.ingestion.mapping import map_rows
from pipeline.ingestion.rows import Rows
from pipeline.ingestion.source_schema import Source
from pipeline.ingestion.sources import NamedSource
from pipeline.shoppers import features, wide_frame
from pipeline.simulate.visits import Shelf

VISITS = {
    "person": "ID",
    "day": "Day",
    "bought": "Incidence",
    "brand": "Brand",
    "quantity": "Quantity",
    "price": "Price_{brand}",
    "promotion": "Promotion_{brand}",
}
PEOPLE = {
    "person": "ID",
    "sex": "Sex",
    "marital_status": "Marital status",
    "age": "Age",
    "education": "Education",
    "income": "Income",
    "occupation": "Occupation",
    "settlement_size": "Settlement size",
}
START, AS_OF = date(2024, 1, 1), date(2025, 7, 1)
SEED = 7
"""The shipped shelf's own, whatever it brings."""
SURELY = 2.955
"""Standard errors on either side, so that all sixteen planted values lie within in 95 of 100 shelves (Bonferroni). Of
sixteen plain intervals of 95 % one misses every other time; `test_visits` counts that they miss no more often."""

Visit = Mapping[str, Any]


def typed(table: str, delivered: pa.Table, columns: Mapping[str, Any], ignore: Iterable[str] = ()) -> pa.Table:
    """What ingestion makes of a delivery's good rows."""
    text = pa.table({name: delivered[name].cast(pa.string()) for name in delivered.column_names})
    spec = Source.model_validate({"from": "x", "columns": columns, "ignore": list(ignore)})
    source = NamedSource(table, "x", spec, "Europe/London", "x", dict.fromkeys(columns, 1))
    done = map_rows(Rows(text, pa.array(range(1, text.num_rows + 1), pa.int64())), source, CONTRACTS[table])
    assert not done.faults
    return done.rows


@pytest.fixture(scope="session")
def con() -> Backend:
    return ibis.duckdb.connect(threads=2)


@pytest.fixture(scope="session")
def made(con: Backend) -> Callable[..., pd.DataFrame]:
    """The frame of clean visits' features, or of the people's next visits."""

    def make(visits: pa.Table, as_of: date, people: pa.Table | None = None, *, ahead: bool = False) -> pd.DataFrame:
        table = ibis.memtable(visits)
        brands = con.to_pyarrow(features.brands_of(table, as_of))["brand"].to_pylist()
        how = features.shopper_features if ahead else features.visit_features
        known = None if people is None else ibis.memtable(people)
        return wide_frame.frame(con.to_pyarrow(how(table, as_of, brands, known)))

    return make


@pytest.fixture(scope="session")
def clean_visits() -> pa.Table:
    """A year and a half of the simulated shelf, clean."""
    return typed("visits", Shelf(seed=SEED).visits(START, AS_OF), VISITS)


@pytest.fixture(scope="session")
def clean_people() -> pa.Table:
    """The people of the simulated shelf, clean."""
    return typed("people", Shelf(seed=SEED).people_table(), PEOPLE)


@pytest.fixture(scope="session")
def visits(made: Callable[..., pd.DataFrame], clean_visits: pa.Table, clean_people: pa.Table) -> pd.DataFrame:
    """The features of the simulated shelf's visits."""
    return made(clean_visits, AS_OF, clean_people)


@pytest.fixture(scope="session")
def shoppers(made: Callable[..., pd.DataFrame], clean_visits: pa.Table, clean_people: pa.Table) -> pd.DataFrame:
    """The next visits of the simulated shelf's people."""
    return made(clean_visits, AS_OF, clean_people, ahead=True)


@pytest.fixture(scope="session")
def course(open_data: Path) -> pa.Table:
    """The course's visits, clean."""
    columns = {**VISITS, "day": {"from": "Day", "day_one": "2021-01-01"}}
    delivered = pq.read_table(open_data / "customer_purchases.parquet")
    return typed("visits", delivered, columns, ("Last_Inc_Brand", "Last_Inc_Quantity"))


@pytest.fixture(scope="session")
def course_visits(made: Callable[..., pd.DataFrame], course: pa.Table) -> pd.DataFrame:
    """The features of the course's visits."""
    return made(course, date(2023, 1, 1))


@pytest.fixture(scope="session")
def course_shoppers(made: Callable[..., pd.DataFrame], course: pa.Table) -> pd.DataFrame:
    """The next visits of the course's people."""
    return made(course, date(2023, 1, 1), ahead=True)


@pytest.fixture(scope="session")
def course_people(open_data: Path) -> pd.DataFrame:
    """The course's 2,000 people."""
    people = pq.read_table(open_data / "customer_segmentation.parquet")
    frame: pd.DataFrame = typed("people", people, PEOPLE).to_pandas()
    return frame
