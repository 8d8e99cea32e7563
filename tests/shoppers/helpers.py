"""Visits and people as ingestion would hand them over, and what the shoppers' tests have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from pipeline.contracts import CONTRACTS
from pipeline.ingestion.mapping import map_rows
from pipeline.ingestion.rows import Rows
from pipeline.ingestion.source_schema import Source
from pipeline.ingestion.sources import NamedSource

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
"""The seed of the simulated shelf in sources.yaml."""
SIMULTANEOUS = 2.955
"""Half width, in standard errors, of intervals that contain all sixteen planted values in 95 of 100 simulated shelves
(Bonferroni). Of sixteen 95 % intervals at least one misses in every second shelf; `test_visits` tests coverage."""


def typed(table: str, delivered: pa.Table, columns: Mapping[str, Any], ignore: Iterable[str] = ()) -> pa.Table:
    """Map and type the rows of a delivery as ingestion does; all must be accepted."""
    text = pa.table({name: delivered[name].cast(pa.string()) for name in delivered.column_names})
    spec = Source.model_validate({"from": "x", "columns": columns, "ignore": list(ignore)})
    source = NamedSource(table, "x", spec, "Europe/London", "x", dict.fromkeys(columns, 1))
    done = map_rows(Rows(text, pa.array(range(1, text.num_rows + 1), pa.int64())), source, CONTRACTS[table])
    assert not done.faults
    return done.rows
