"""A simulated chain in the lake: recorded days, planned days, and stores."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from pipeline.simulate.store_days import Chain

MODEL = "store_sales"
FIRST, AS_OF, HORIZON = dt.date(2023, 1, 2), dt.date(2024, 7, 2), dt.timedelta(days=42)
LATER = AS_OF + HORIZON
CHAIN = Chain(seed=7, count=12)
UNDATED = dt.date(1970, 1, 1)


def write_chain(settings: Settings, until: dt.date, chain: Chain = CHAIN) -> None:
    """Write the days of the chain before `until`, the plan of its days from AS_OF on, and its stores to the lake."""
    lake = Lake(settings)
    every = chain.days(FIRST, LATER + HORIZON)
    for name, rows in (
        ("store_days", every.filter(pc.less(every["day"], until))),
        ("store_plans", every.filter(pc.greater_equal(every["day"], AS_OF)).drop_columns(["sales", "customers"])),
    ):
        lake.replace(name, {"day": pc.unique(rows["day"]).to_pylist()}, rows)
    undated = pa.array([UNDATED] * chain.count, pa.date32())
    lake.replace("stores", {"day": [UNDATED]}, chain.stores().append_column("day", undated))
