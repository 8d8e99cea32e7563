"""What the night writes into the table `store_forecast_sums`, and as CSV beside the page: sums with intervals.

A row is a sum: its kind, what it is of (`state`, `store_type`, `store`, `week`; null where the kind does not tell them
apart; week 1 is the first seven days), how many open store days it has and from when until when, and its intervals
(`sums.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.reports.csv_text import write_csv
from pipeline.reports.page import REPORTS
from pipeline.stores.calendar import UNKNOWN
from pipeline.stores.domain import DOMAIN, MODEL
from pipeline.stores.snapshot import STORES_TABLE
from pipeline.stores.sums import KINDS, SumIntervals

if TYPE_CHECKING:
    from datetime import date

    import ibis.expr.types as ir

    from pipeline.training.spec import Champions, Run

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("state", pa.string()),
        ("store_type", pa.string()),
        ("store", pa.int64()),
        ("week", pa.int64()),
        ("store_days", pa.int64()),
        ("first", pa.date32()),
        ("last", pa.date32()),
        *((name, pa.float64()) for name in ("sum", "low_80", "high_80", "low_95", "high_95")),
    ]
)


def with_groups(forecasts: pd.DataFrame, stores: ir.Table, as_of: date) -> pd.DataFrame:
    """Add what sums are formed of (`sums.SumIntervals.of_sums`) to forecasts.

    Args:
        forecasts: store, day and mean of open days.
        stores: the clean table.
        as_of: the first day to forecast.
    """
    groups = stores.select("store", "state", "store_type").to_pandas().set_index("store").fillna(UNKNOWN)
    of_rows = groups.reindex(forecasts["store"]).fillna(UNKNOWN)
    ahead = (pd.to_datetime(forecasts["day"]) - pd.Timestamp(as_of)).dt.days
    return forecasts.assign(
        state=of_rows["state"].to_numpy(), store_type=of_rows["store_type"].to_numpy(), ahead=ahead.to_numpy(np.int64)
    )


def all_sums(rows: pd.DataFrame, intervals: SumIntervals) -> pd.DataFrame:
    """Return the sums of every kind, with the columns of `SCHEMA`.

    Args:
        rows: `with_groups` of at least one open day.
        intervals: what the model version kept.
    """
    parts = [intervals.of_sums(rows, kind).assign(kind=kind) for kind in KINDS]
    every = pd.concat(parts, ignore_index=True).reindex(columns=SCHEMA.names)
    whole = {name: every[name].astype("Int64") for name in ("store", "week", "store_days")}
    dates = {name: pd.to_datetime(every[name]).dt.date for name in ("first", "last")}
    return every.assign(**whole | dates | {"week": whole["week"] + 1})


def write_csv_file(lake: Lake, as_of: date, sums: pd.DataFrame) -> str:
    """Write `all_sums` as CSV beside the page of a day and return its address relative to the page."""
    name = f"{as_of}-sums.csv"
    lines = [[None if pd.isna(cell) else cell for cell in line] for line in sums.round(2).itertuples(index=False)]
    lake.write_blob(f"{REPORTS}/stores/{name}", write_csv([SCHEMA.names, *lines]).encode())
    return name


def score_sums(run: Run, champions: Champions) -> pa.Table:
    """Return the sums of every kind of the forecast that was scored as of a day.

    There are none without an open day, and for a model version of a release that kept nothing to compute them from.
    """
    forecasts = Lake(run.settings).read(DOMAIN.results_table, where={"as_of": [run.as_of]}).to_pandas()
    sold = forecasts[forecasts["mean"] > 0]
    intervals = SumIntervals.from_artefacts(champions.artefacts(MODEL))
    if sold.empty or intervals is None:
        return SCHEMA.empty_table()
    stores = engine.table(engine.connect(run.settings), Lake(run.settings), STORES_TABLE)
    every = all_sums(with_groups(sold, stores, run.as_of), intervals)
    columns = {name: pa.array(every[name], SCHEMA.field(name).type, from_pandas=True) for name in SCHEMA.names}
    return pa.table(columns, schema=SCHEMA)
