"""Three years of daily deliveries by one command: does the last one cost what the first ones cost?

python -m benchmarks.backfill [--deliveries 1095]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import date, timedelta
from pathlib import Path

from benchmarks.nights import aisle
from benchmarks.parts import timing_parts
from benchmarks.profiling import Measured, Stopwatch, in_child
from benchmarks.results import Goal, Row

DELIVERIES = 1_095
GROUP = "backfill"
STEPS = ("land", "check", "commit")
SOURCES = """
time_zone: Europe/London
home_country: United Kingdom
tables:
  footfall:
    door:
      from: footfall/{day}.csv
      format: {type: csv}
      columns: {day: Day, visitors: Visitor, buyers: Buyer}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deliveries", type=int, default=DELIVERIES)
    for row in rows(parser.parse_args().deliveries):
        print(f"{row.what:<60} {row.seconds:8.2f} s {row.cpu:8.2f} s cpu {row.beside} {row.beside_cpu or 0:.2f} s cpu")


def rows(deliveries: int = DELIVERIES) -> list[Row]:
    """The rows of the table: the whole command, and its last ten deliveries beside its first ten."""
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as home:
        done: Measured = in_child(_backfill, Path(home), deliveries)
    share = compared(deliveries)
    return [
        Row(GROUP, f"{deliveries:,} deliveries of one line", done.steps["all"], done.cpu["all"], done.peak_mb),
        Row(
            GROUP,
            f"one of the last {share}",
            done.steps["last"],
            done.cpu["last"],
            beside=f"one of the second {share}",
            beside_seconds=done.steps["early"],
            beside_cpu=done.cpu["early"],
            goal=Goal(ratio=1.2),
        ),
    ]


def compared(deliveries: int) -> int:
    """How many of the early deliveries, and of the last, are compared."""
    return min(100, deliveries // 3)


def _backfill(home: Path, deliveries: int) -> Stopwatch:
    (home / "footfall").mkdir()
    (home / "sources.yaml").write_text(SOURCES)
    for day in (date(2023, 1, 1) + timedelta(days=n) for n in range(deliveries)):
        (home / "footfall" / f"{day}.csv").write_text(f"Day,Visitor,Buyer\n{day},{400 + day.day},{90 + day.day}\n")
    os.environ |= {
        "AISLE_HOME": str(home / "aisle"),
        "AISLE_SOURCES": str(home / "sources.yaml"),
        "AISLE_DATA": str(home),
    }
    watch = Stopwatch()
    with timing_parts() as parts:
        aisle("ingest", "footfall", "--all")
    watch.lap("all")
    each = [tuple(map(sum, zip(*steps, strict=True))) for steps in zip(*(parts.each[s] for s in STEPS), strict=True)]
    # The very first pay for what is imported and made once, so they are compared with nothing.
    share = compared(deliveries)
    for step, some in (("early", each[share : 2 * share]), ("last", each[-share:])):
        watch.steps[step] = sum(seconds for seconds, _ in some) / share
        watch.cpu[step] = sum(cpu for _, cpu in some) / share
    return watch


if __name__ == "__main__":
    main()
