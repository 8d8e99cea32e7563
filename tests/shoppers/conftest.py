"""Fixtures of the shoppers' tests: features of the simulated shelf and of the open data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.backends.duckdb import Backend

from pipeline.shoppers import features, wide_frame
from pipeline.simulate.visits import Shelf
from tests.shoppers.helpers import AS_OF, PEOPLE, SEED, START, VISITS, typed


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
