"""The results of the demo, read from the lake, the registry and Airflow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.local.airflow_api import AirflowApi
    from pipeline.settings import Settings

PAST = {"promote": "promoted", "refuse": "refused", "rollback": "rolled back to"}

Lines = list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Fault:
    """The fault that the demo plants in its data.

    Attributes:
        since: the first wrong day.
        what: what is wrong from that day on.
    """

    since: date
    what: str


@dataclass(frozen=True)
class DemoSummary:
    """The results of the demo.

    Attributes:
        deliveries: how many were ingested.
        rows: numbers of rows read, clean, quarantined and exact repeats, over all deliveries.
        as_of: the last day that was scored.
        segments: name, customers and revenue in the window, by decreasing revenue.
        promotions: version, action and reason of each decision, oldest first.
        drift: the columns that drifted, by day.
        fault: what was planted.
        warnings: the days and the reasons of each delivery with warnings, by its first day.
    """

    deliveries: int
    rows: dict[str, int]
    as_of: date
    segments: list[tuple[str, int, float]]
    promotions: list[tuple[int, str, str]]
    drift: dict[date, list[str]]
    fault: Fault
    warnings: list[tuple[date, date, tuple[str, ...]]]

    def lines(self) -> Lines:
        """The rows of the closing table."""
        rows = self.rows
        counts = [
            f"{rows['read']:,} read from {self.deliveries} deliveries",
            f"= {rows['clean']:,} clean + {rows['quarantined']:,} quarantined + {rows['repeats']:,} exact repeats",
        ]
        total = sum(revenue for _, _, revenue in self.segments) or 1.0
        segments = [
            f"{name:<16} {size:>9,} {revenue:>12,.0f} {revenue / total:>5.0%}" for name, size, revenue in self.segments
        ]
        models = [
            line
            for version, action, reason in self.promotions
            for line in (f"version {version}: {PAST[action]}, because", *(f"  {part}" for part in reason.split("; ")))
        ]
        drift = [f"as of {day}: {', '.join(columns) or 'none'}" for day, columns in sorted(self.drift.items())]
        return [
            ("rows", counts),
            ("segments", [f"{f'as of {self.as_of}':<16} customers {'revenue':>12} share", *segments]),
            ("model", models),
            ("drift", drift or ["not checked"]),
            ("the planted fault", self._fault_lines()),
        ]

    def _fault_lines(self) -> list[str]:
        """What was planted, and when each of the two checks caught it first."""
        since = self.fault.since
        warned = [(first, reasons) for first, last, reasons in self.warnings if last >= since]
        # A check as of a day sees the days before it.
        drifted = [(day, columns) for day, columns in sorted(self.drift.items()) if day > since and columns]
        lines = [f"planted: {self.fault.what}, from {since} on"]
        if warned:
            day, reasons = warned[0]
            lines.append(f"caught {_days_after(day, since)} ({day}) by the delivery's comparison with the recent days:")
            lines += [f"  {reason}" for reason in reasons]
            lines.append(f"  deliveries with such warnings: {len(warned)}; the pages built on them say so at their top")
        else:
            lines.append("not caught when it was delivered")
        if drifted:
            day, columns = drifted[0]
            lines.append(
                f"caught {_days_after(day - timedelta(days=1), since)} (as of {day}) by the drift check: "
                f"{', '.join(columns)}"
            )
        else:
            lines.append("not caught by the drift checks")
        return lines


def _days_after(day: date, since: date) -> str:
    """Phrase how long after a day another one is, counting the day itself: on its first day, on its third day."""
    ordinals = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
    number = (day - since).days
    return f"on its {ordinals[number]} day" if 0 <= number < len(ordinals) else f"after {number} days"


@dataclass(frozen=True)
class Durations:
    """Where the seconds went.

    Attributes:
        tasks: how many task instances ran.
        running: the sum of their durations as Airflow recorded them. Tasks run side by side, so it may exceed `story`.
        starting: until Airflow was up.
        story: from the first run to the last.
        total: of the whole demo.
    """

    tasks: int
    running: float
    starting: float = 0.0
    story: float = 0.0
    total: float = 0.0

    def lines(self) -> Lines:
        """The rows of the closing table."""
        stopping = self.total - self.starting - self.story
        return [
            (
                "seconds",
                [
                    f"{self.total:.0f} in all: starting Airflow {self.starting:.0f}, the runs {self.story:.0f}, "
                    f"stopping and reading the results {stopping:.0f}",
                    f"{self.tasks} tasks, some side by side, of {self.running:.0f} seconds together",
                ],
            )
        ]


def task_durations(api: AirflowApi) -> Durations:
    """Add up the durations that Airflow recorded for its tasks."""
    durations = [task["duration"] for task in api.task_instances() if task["duration"]]
    return Durations(len(durations), sum(durations))


def gather(settings: Settings, fault: Fault) -> DemoSummary:
    """Read the results from a home in which a fault was planted."""
    import pyarrow.compute as pc

    from pipeline.ingestion import ledger
    from pipeline.ingestion.delivery_warnings import warnings_between
    from pipeline.lake.tables import Lake
    from pipeline.registry.client import Registry

    lake = Lake(settings)
    entries = ledger.entries(lake)
    rows = Counter[str]()
    for entry in entries:
        for field in ("read", "clean", "quarantined", "repeats"):
            rows[field] += getattr(entry, field)
    as_of = max(lake.days("customer_segments"))
    segments = lake.read("customer_segments", where={"as_of": [as_of]})
    features = lake.read("customer_features", where={"as_of": [as_of]})
    revenue = features.select(["customer_id", "revenue"])
    joined = segments.select(["customer_id", "segment_name"]).join(revenue, "customer_id")
    summed = joined.group_by("segment_name").aggregate([("customer_id", "count"), ("revenue", "sum")])
    sizes = [(row["segment_name"], row["customer_id_count"], row["revenue_sum"]) for row in summed.to_pylist()]
    drift: dict[date, list[str]] = {}
    if lake.exists("drift"):
        table = lake.read("drift")
        drift = {day.as_py(): [] for day in pc.unique(table["as_of"])}
        for row in table.filter(table["drifted"]).to_pylist():
            drift[row["as_of"]].append(row["column"])
    history = Registry(settings).history("customer_segments")
    return DemoSummary(
        deliveries=len(entries),
        rows=dict(rows),
        as_of=as_of,
        segments=sorted(sizes, key=lambda segment: -segment[2]),
        promotions=[(entry.version, entry.action, entry.reason) for entry in history],
        drift=drift,
        fault=fault,
        warnings=sorted(
            (found.first_day, found.last_day, found.reasons)
            for found in warnings_between(lake, "transactions", date.min, date.max)
        ),
    )
