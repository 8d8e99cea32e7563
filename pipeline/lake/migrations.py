"""Tables that earlier releases wrote with other column names, brought up to date."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.logs import log_event

if TYPE_CHECKING:
    from pipeline.lake.tables import Lake

log = logging.getLogger(__name__)

RENAMED_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "store_forecasts": {"made_on": "as_of"},
    "drift": {"checked_on": "as_of"},
}
"""Table -> old column -> new column. Every table with a part for each as-of day names it `as_of`."""


def migrate(lake: Lake) -> None:
    """Rename the columns of tables that were written by an earlier release, each in one commit; safe to run again."""
    for table, names in RENAMED_COLUMNS.items():
        if lake.rename_columns(table, names):
            log_event(log, "migrated", table=table, renamed=",".join(f"{old}:{new}" for old, new in names.items()))
