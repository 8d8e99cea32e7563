"""What a benchmark measured, as rows of one table: ours, beside a yardstick in the same run, and the goal."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.profiling import Measured

PACKAGES = ("pyarrow", "duckdb", "deltalake", "pandas", "ibis-framework", "great-expectations", "evidently", "mlflow")
"""Packages whose versions the figures depend on."""


@dataclass(frozen=True)
class Goal:
    """What a row shall reach; None is no goal.

    Attributes:
        ratio: at most so many times the processor time of the yardstick.
        seconds: at most so many seconds.
        peak_mb: at most so much memory.
    """

    ratio: float | None = None
    seconds: float | None = None
    peak_mb: float | None = None

    def __str__(self) -> str:
        parts = [] if self.ratio is None else [f"{self.ratio:.3g} ×"]
        parts += [] if self.seconds is None else [f"{self.seconds:g} s"]
        parts += [] if self.peak_mb is None else [f"{self.peak_mb:,.0f} MB"]
        return ", ".join(parts)


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        group: what it belongs to, such as ingestion.
        what: what was done.
        seconds, cpu: how long it took by the clock, and in processor time over all threads.
        peak_mb: the most resident memory of its process, imports included; None for a part of a process.
        beside: the yardstick, measured in the same run; empty if there is none.
        beside_seconds, beside_cpu: how long it took, likewise.
        beside_peak_mb: the most resident memory of its process.
        goal: what it shall reach; None if nothing was set.
        load: the machine's load average of a minute when it was measured.
    """

    group: str
    what: str
    seconds: float
    cpu: float
    peak_mb: float | None = None
    beside: str = ""
    beside_seconds: float | None = None
    beside_cpu: float | None = None
    beside_peak_mb: float | None = None
    goal: Goal | None = None
    load: float = 0.0

    @property
    def ratio(self) -> float | None:
        """How many times the processor time of the yardstick; None without one.

        The clock says as much only on a machine that does nothing else: what runs beside slows one of the two.
        """
        return self.cpu / self.beside_cpu if self.beside_cpu else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal was reached; None without a goal."""
        if self.goal is None:
            return None
        pairs = (
            (self.ratio, self.goal.ratio),
            (self.seconds, self.goal.seconds),
            (self.peak_mb, self.goal.peak_mb),
        )
        return all(value is not None and value <= most for value, most in pairs if most is not None)


@dataclass(frozen=True)
class Run:
    """The rows of a table, and where they were measured.

    Attributes:
        rows: in the order of their groups.
        machine: processor, cores, memory, system.
        versions: of Python and of `PACKAGES`.
        measured: the day of the newest rows, UTC.
    """

    rows: Sequence[Row]
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    measured: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it, with the ratios and whether goals were reached."""
        rows = [asdict(row) | {"ratio": row.ratio, "reached": row.reached} for row in self.rows]
        return asdict(self) | {"rows": rows}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Run:
        """Restore a run from what `as_dict` returned."""
        fields = [{name: value for name, value in row.items() if name not in DERIVED} for row in record["rows"]]
        return cls(
            **{**record, "rows": [Row(**{**row, "goal": row["goal"] and Goal(**row["goal"])}) for row in fields]}
        )

    def after(self, earlier: Run) -> Run:
        """These rows, in place of those of the same groups in an earlier run, whose other rows stay."""
        groups = list(dict.fromkeys(row.group for row in (*earlier.rows, *self.rows)))
        measured = {row.group for row in self.rows}
        rows = [row for group in groups for row in (self if group in measured else earlier).rows if row.group == group]
        return replace(self, rows=rows)


DERIVED = ("ratio", "reached")


def row_of(
    group: str,
    what: str,
    measured: Measured,
    steps: Sequence[str] = (),
    *,
    beside: str = "",
    rival: Measured | None = None,
    rival_steps: Sequence[str] = (),
    goal: Goal | None = None,
) -> Row:
    """The row of a process that was measured.

    Args:
        group, what, beside, goal: those of the row.
        measured: the process.
        steps: those of its steps that count; all if empty.
        rival: the process of the yardstick.
        rival_steps: those of its steps that count; all if empty.
    """
    names = steps or tuple(measured.steps)
    rival_names = rival_steps or tuple(rival.steps if rival else ())
    return Row(
        group,
        what,
        sum(measured.steps[name] for name in names),
        sum(measured.cpu[name] for name in names),
        measured.peak_mb,
        beside,
        sum(rival.steps[name] for name in rival_names) if rival else None,
        sum(rival.cpu[name] for name in rival_names) if rival else None,
        rival.peak_mb if rival else None,
        goal,
    )


def machine() -> dict[str, str]:
    """Processor, cores, memory and system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GB",
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of `PACKAGES`."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def today() -> str:
    """The day, UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"
