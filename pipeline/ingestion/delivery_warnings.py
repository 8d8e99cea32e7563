"""The warnings of deliveries, as a table: pages that are built on a delivery's days show them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import pyarrow as pa

from pipeline.lake.partitions import among
from pipeline.lake.tables import Lake

WARNINGS_TABLE = "delivery_warnings"
SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("delivery", pa.string()),
        ("first_day", pa.date32()),
        ("last_day", pa.date32()),
        ("reasons", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class DeliveryWarnings:
    """What is unusual about a committed delivery.

    Attributes:
        table: the table it is for.
        delivery: the delivery's id.
        first_day, last_day: the days of its rows; `last_day` is inclusive.
        reasons: sentences.
    """

    table: str
    delivery: str
    first_day: date
    last_day: date
    reasons: tuple[str, ...]


def record_warnings(
    lake: Lake, table: str, delivery: str, days: Collection[date], reasons: Sequence[str], *, replaced: Sequence[str]
) -> None:
    """Replace the warnings of a delivery.

    Args:
        lake: where they are stored.
        table: the table the delivery is for.
        delivery: its id.
        days: the days of its rows.
        reasons: its warnings; none if nothing is unusual about it.
        replaced: further deliveries whose warnings no longer hold, such as corrections of its former rows.
    """
    found = [DeliveryWarnings(table, delivery, min(days), max(days), tuple(reasons))] if reasons and days else []
    # Most deliveries have no warnings, so most need no commit.
    if found or lake.row_counts(WARNINGS_TABLE, "delivery", keep=among("delivery", [delivery, *replaced])):
        rows = pa.Table.from_pylist([asdict(warnings) for warnings in found], schema=SCHEMA)
        lake.replace(WARNINGS_TABLE, {"table": [table], "delivery": [delivery, *replaced]}, rows)


def warnings_between(lake: Lake, table: str, since: date, until: date) -> list[DeliveryWarnings]:
    """Return the warnings of the deliveries that have rows from `since` to before `until`, the newest days first."""
    if not lake.exists(WARNINGS_TABLE):
        return []
    rows = lake.read(WARNINGS_TABLE, where={"table": [table]}).to_pylist()
    found = [DeliveryWarnings(**row | {"reasons": tuple(row["reasons"])}) for row in rows]
    within = [w for w in found if w.first_day < until and w.last_day >= since]
    return sorted(within, key=lambda w: (w.last_day, w.delivery), reverse=True)
