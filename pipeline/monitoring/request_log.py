"""The inputs of recent requests to the prediction service, read from its log, to compare with the training data."""

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
"""The table of the log, which `pipeline.serving.prediction_log` writes."""
DAYS = 28


def logged_inputs(
    settings: Settings, version: ModelVersion, day: date, columns: Sequence[str], sample: int
) -> pd.DataFrame:
    """The inputs that a version predicted on as champion, in the `DAYS` days before a day.

    Args:
        settings: where the lake is.
        version: the version.
        day: the first day that is not read.
        columns: inputs to return; those that the log lacks are left out.
        sample: the largest number of rows. They are drawn by a hash, so the draw is always the same.

    Returns:
        One row per prediction; empty if there are none.
    """
    lake, since = Lake(settings), day - timedelta(days=DAYS)
    if not lake.exists(PREDICTIONS):
        return pd.DataFrame()
    con = engine.connect(settings)
    log = engine.table(con, lake, PREDICTIONS, since=since, until=day)
    # With the character after the number, so that version 1 does not match version 11.
    entry = json.dumps({version.name: version.version})[1:-1]
    predictions = log.filter(
        log.role == "champion",
        log.versions.contains(f"{entry},") | log.versions.contains(f"{entry}}}"),
        log.day >= ibis.date(since),
        log.day < ibis.date(day),
    )
    drawn = predictions.order_by(predictions.request_id.hash(), predictions.inputs).limit(sample).select("inputs")
    rows = pd.DataFrame([json.loads(text) for text in con.to_pyarrow(drawn)["inputs"].to_pylist()])
    shared = [name for name in columns if name in rows]
    # An endpoint may log other things than the model's inputs: there is nothing to compare then.
    return rows[shared] if shared else pd.DataFrame()


def remove_predictions(settings: Settings, until: date, *, dry_run: bool = False) -> int:
    """Remove the predictions before a day, in one commit, and return from how many days.

    Their files go with the old versions of the table, see `Maintenance.remove_old_versions`.
    """
    lake = Lake(settings)
    old = [day for day in lake.days(PREDICTIONS) if day < until] if lake.exists(PREDICTIONS) else []
    if old and not dry_run:
        lake.replace(PREDICTIONS, {"day": old}, lake.schema(PREDICTIONS).empty_table())
    return len(old)
