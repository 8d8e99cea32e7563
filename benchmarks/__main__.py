"""`make bench`: measure speed and memory, and print one table.

python -m benchmarks [--quick] [--only WORD] [--json [FILE]]

Each group of rows is a module with a function `rows`, and each measurement has a process of its own. Figures beside a
yardstick are ratios of one run. AISLE_DATA names the folder of the open data; without it what needs them is left out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import backfill, customers, dags, drift, ingestion, night, nights
from benchmarks.readme import FIGURES, cells
from benchmarks.results import Row, Run, machine, today, versions

HEADER = ("", "s", "cpu s", "MB", "beside (cpu s)", "×", "goal")
Measure = Callable[[], list[Row]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer lines and deliveries: minutes instead of an hour")
    parser.add_argument("--only", default="", metavar="WORD", help="only groups whose name has this word")
    parser.add_argument(
        "--nights", type=Path, metavar="FOLDER", help="a home of benchmarks.nights: what they cost, and one night more"
    )
    parser.add_argument(
        "--json", type=Path, nargs="?", const=FIGURES, metavar="FILE", help="write the figures to a file"
    )
    args = parser.parse_args()
    console = Console(stderr=True)
    found: list[Row] = []
    chosen = groups(ingestion.open_data(), args.nights, quick=args.quick)
    if args.nights:
        chosen += [(nights.GROUP, partial(nights.rows, args.nights))]
    for name, measure in chosen:
        if args.only not in name:
            continue
        if measure is None:
            print(f"Not measured: {name}, for lack of the open data (AISLE_DATA).")
            continue
        with console.status(f"measuring: {name}"):
            rows = measure()
        found += [replace(row, load=round(os.getloadavg()[0], 1)) for row in rows]
    run = Run(found, machine(), versions(), today())
    show(run)
    if args.json:
        earlier = Run.from_dict(json.loads(args.json.read_text())) if args.only and args.json.exists() else run
        args.json.write_text(json.dumps(run.after(earlier).as_dict(), indent=1) + "\n")


def groups(data: Path | None, home: Path | None, *, quick: bool) -> list[tuple[str, Measure | None]]:
    """The groups of rows, by name; None where the open data are missing."""
    more: list[tuple[str, Measure | None]] = []
    if not quick:
        more = [("ingestion, 10 million lines", partial(ingestion.rows, data, 10_000_000) if data else None)]
    return [
        ("ingestion", partial(ingestion.rows, data) if data else None),
        *more,
        ("features, real lines", partial(customers.rows_real, data) if data else None),
        ("features, simulated lines", partial(customers.rows_simulated, 2_000_000 if quick else 54_000_000)),
        ("drift", partial(drift.rows, 100_000 if quick else drift.ROWS)),
        ("backfill", partial(backfill.rows, 60 if quick else backfill.DELIVERIES)),
        ("night", partial(night.rows, home, small=quick)),
        ("DAG files", dags.rows),
    ]


def show(run: Run) -> None:
    """Print the table, in 80 columns."""
    table = Table(box=None, padding=(0, 1))
    for name in HEADER:
        number = name in ("s", "cpu s", "MB", "×")
        table.add_column(name, justify="right" if number else "left", no_wrap=number)
    for group, rows in groupby(run.rows, lambda row: row.group):
        table.add_row(group, style="bold")
        for row in rows:
            what, clock, cpu, memory, beside, _, its_cpu, ratio, goal, verdict, _ = cells(row)
            table.add_row(what, clock, cpu, memory, f"{beside} {its_cpu}", ratio, f"{goal} {verdict}")
    Console().print(table)


if __name__ == "__main__":
    main()
