"""The record of promotions: which version was put in use when, by whom and why, and what a gate refused.

MLflow keeps no history of its aliases, so the lake's table `promotions` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.lake.tables import Lake
from pipeline.registry.records import PROMOTIONS_SCHEMA, Promotion

PROMOTIONS = "promotions"


class PromotionHistory:
    """The table `promotions`.

    Args:
        lake: where the table is.
        now: the clock that timestamps the entries.
    """

    def __init__(self, lake: Lake, now: Callable[[], datetime]) -> None:
        self._lake, self._now = lake, now

    def of(self, name: str) -> list[Promotion]:
        """A model's promotions, rollbacks and refusals, oldest first."""
        if not self._lake.exists(PROMOTIONS):
            return []
        rows = self._lake.read(PROMOTIONS).to_pylist()
        return sorted((Promotion.from_row(row) for row in rows if row["model"] == name), key=lambda entry: entry.at)

    def draft(
        self,
        name: str,
        action: str,
        version: int,
        champion: int | None,
        *,
        by: str,
        reason: str,
        figures: Mapping[str, Any],
    ) -> Promotion:
        """A new entry, later than any on record, not yet written."""
        history = self.of(name)
        at = self._now().astimezone(UTC)
        if history:
            # The record is read in the order of its times, which clocks of several machines would not keep.
            at = max(at, history[-1].at + timedelta(microseconds=1))
        return Promotion(at, name, action, version, champion, by, reason, dict(figures))

    def append(self, entry: Promotion) -> None:
        """Write an entry."""
        self._lake.append(PROMOTIONS, pa.Table.from_pylist([entry.as_row()], schema=PROMOTIONS_SCHEMA))

    def latest_switch(self, name: str) -> Promotion | None:
        """The newest entry by which the champion changed."""
        switches = [entry for entry in self.of(name) if entry.action != "refuse"]
        return switches[-1] if switches else None

    def line(self, name: str, current: int | None) -> list[int]:
        """The champions up to the current one, oldest first, without those that were rolled back."""
        line: list[int] = []
        for entry in self.of(name):
            if entry.action == "promote":
                line.append(entry.version)
            elif entry.action == "rollback":
                while line and line[-1] != entry.version:
                    line.pop()
        if current is not None and line[-1:] != [current]:
            line.append(current)  # promoted in MLflow's own pages
        return line
