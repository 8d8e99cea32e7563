"""A night of all four domains, end to end: seconds and memory of its parts.

python -m benchmarks.night [--small] [--home FOLDER]

A year of history of the simulated shop, chain, shelf and door of sources.yaml is ingested, the models are trained, and
then one night is run in a fresh process: seven deliveries, four domains, the checks for drift, the morning page. With
a home of `benchmarks.nights` it is the night after the last one there.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date, timedelta
from pathlib import Path

from benchmarks.nights import DOMAINS, FIRST, TABLES, aisle, history, nights_of, prepare, write_morning_page
from benchmarks.parts import timing_parts
from benchmarks.profiling import Measured, Stopwatch, in_child
from benchmarks.results import Row

GROUP = "a night of four domains"
NIGHT = "the night"
PARTS = {
    "imports": "imports, once a process",
    "land": "land seven deliveries",
    "check": "check them",
    "commit": "commit them",
    "build features": "features of four domains",
    "score": "score",
    "write report": "pages",
    "watch": "watch nine models",
    "morning page": "the morning page, which each part writes again",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the small shops of benchmarks.nights")
    parser.add_argument("--home", type=Path, help="a home of benchmarks.nights, which is small")
    args = parser.parse_args()
    for row in rows(args.home, small=args.small):
        print(f"{row.what:<40} {row.seconds:8.2f} s {row.cpu:8.2f} s cpu {row.peak_mb or 0:8,.0f} MB")


def rows(home: Path | None = None, *, small: bool = False) -> list[Row]:
    """The rows of the table: the whole night, then each of its parts."""
    if home:
        night = in_child(_night, home, True, FIRST + timedelta(days=nights_of(home / "nights.jsonl")))
    else:
        with tempfile.TemporaryDirectory(prefix="aisle-bench-") as made:
            in_child(_history, Path(made), small)
            night = in_child(_night, Path(made), small, FIRST)
    seconds, cpu = (times["imports"] + times[NIGHT] for times in (night.steps, night.cpu))
    whole = Row(GROUP, "end to end, in one process", seconds, cpu, night.peak_mb)
    return [whole, *(_part(night, name, what) for name, what in PARTS.items())]


def _part(night: Measured, name: str, what: str) -> Row:
    return Row(GROUP, f"– {what}", night.steps[name], night.cpu[name])


def _history(home: Path, small: bool) -> Stopwatch:
    prepare(home, small=small)
    history()
    return Stopwatch()


def _night(home: Path, small: bool, day: date) -> Stopwatch:
    prepare(home, small=small)
    watch = Stopwatch()
    from pipeline.preload import import_task_modules

    import_task_modules(["pipeline.cli.app", "pipeline.morning.page"])
    watch.lap("imports")
    with timing_parts() as parts:
        for table in TABLES:
            aisle("ingest", table, "--day", str(day), accepted=(0, 1))
        for domain in DOMAINS:
            aisle("score", domain, "--day", str(day + timedelta(days=1)))
        aisle("watch", accepted=(0, 1))
    watch.lap(NIGHT)
    write_morning_page()
    watch.lap("morning page")
    parts.add_to(watch)
    return watch


if __name__ == "__main__":
    main()
