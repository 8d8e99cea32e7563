"""What the prediction service was asked of late, read from its log, as rows that can be held against the training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from pipeline.lake import engine
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from pipeline.registry.records import ModelVersion
    from pipeline.settings import Settings

PREDICTIONS = "predictions"
"""The log; `pipeline.serving.prediction_log` writes it."""
DAYS = 28


def logged_inputs(
    settings: Settings, version: ModelVersion, day: date, columns: Sequence[str], sample: int
) -> pd.DataFrame:
    """What a version was asked in the four weeks before a day.

    Args:
        columns: those of them that the log has are returned.
        sample: at most this many rows, drawn by what they are and so always the same.

    Returns:
        A row a prediction; empty where there are none.
    """
    lake, since = Lake(settings), day - timedelta(days=DAYS)
    if not lake.exists(PREDICTIONS):
        return pd.DataFrame()
    con = engine.connect(settings)
    log = engine.table(con, lake, PREDICTIONS, since=since, until=day)
    # With what follows it, so that 1 is not taken for 11.
    entry = json.dumps({version.name: version.version})[1:-1]
    mine = log.filter(
        log.role == "champion",
        log.versions.contains(f"{entry},") | log.versions.contains(f"{entry}}}"),
        log.day >= ibis.date(since),
        log.day < ibis.date(day),
    )
    drawn = mine.order_by(mine.request_id.hash(), mine.inputs).limit(sample).select("inputs")
    rows = pd.DataFrame([json.loads(text) for text in con.to_pyarrow(drawn)["inputs"].to_pylist()])
    return rows[[name for name in columns if name in rows]]
