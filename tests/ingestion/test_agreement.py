"""What the ledger says is believed only if the tables hold it, whatever others write meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import RefusedError
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.received import received_table
from pipeline.lake.tables import Lake

FIRST, SECOND, THIRD = "2025-03-03", "2025-03-04", "2025-03-05"


def late(till: Any, day: str) -> list[str]:
    """A line of a day and a late one of the first day."""
    return [till.line(day, day=day), till.line(f"late {day}", day=FIRST)]


@pytest.mark.parametrize("read", [received_table("transactions"), "transactions", "ledger"])
def test_a_delivery_of_the_same_days_that_is_committed_meanwhile_refuses_nothing(
    till: Any, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """Whichever table is about to be read when the other delivery is committed."""
    for day in (FIRST, SECOND):
        till.deliver(f"{day}.csv", late(till, day))
    till.write(f"{THIRD}.csv", late(till, THIRD))
    third, version, row_counts = till.found(f"{THIRD}.csv"), Lake.version, Lake.row_counts
    disturbed = []

    def disturb(table: str) -> None:
        if table == read and not disturbed:
            disturbed.append(table)
            ingestion.ingest(till.settings, third)

    def version_meanwhile(self: Lake, table: str) -> int:
        disturb(table)
        return version(self, table)

    def counts_meanwhile(self: Lake, table: str, *args: Any, **kwargs: Any) -> dict[str, int]:
        disturb(table)
        return row_counts(self, table, *args, **kwargs)

    monkeypatch.setattr(Lake, "row_counts", counts_meanwhile)
    if read != "transactions":
        monkeypatch.setattr(Lake, "version", version_meanwhile)
    landed = ingestion.land(till.settings, till.found(f"{SECOND}.csv"))
    assert disturbed
    assert landed.unchanged


def test_a_redelivery_under_way_that_leaves_a_day_refuses_nothing(till: Any) -> None:
    """Its received rows are not of that day any more, and its clean rows still are."""
    for day in (FIRST, SECOND):
        till.deliver(f"{day}.csv", late(till, day))
    till.write(f"{SECOND}.csv", [till.line("moved", day=THIRD)])
    ingestion.check(till.settings, ingestion.land(till.settings, till.found(f"{SECOND}.csv")))
    assert ingestion.land(till.settings, till.found(f"{FIRST}.csv")).unchanged


def test_lost_clean_rows_are_noticed(till: Any) -> None:
    for day in (FIRST, SECOND):
        till.deliver(f"{day}.csv", late(till, day))
    rows = till.lake.read("transactions")
    till.lake.replace("transactions", {"day": [rows["day"][0].as_py()]}, rows.slice(0, 0))
    with pytest.raises(RefusedError, match="the tables do not hold its rows"):
        ingestion.land(till.settings, till.found(f"{SECOND}.csv"))
