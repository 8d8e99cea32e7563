"""`make bench`: measure speed and memory, and print one table.

python -m benchmarks [--quick] [--json [FILE]]

Each group of rows is a module with a function `rows`, and each measurement has a process of its own. Figures beside a
yardstick are ratios of one run. AISLE_DATA names the folder of the open data; without it what needs them is left out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import backfill, customers, dags, drift, ingestion, night
from benchmarks.readme import FIGURES, cells
from benchmarks.results import Row, Run, machine, today, versions

HEADER = ("what", "s", "cpu s", "peak MB", "beside", "its s", "its cpu s", "times its cpu", "goal", "")
Measure = Callable[[], list[Row]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer lines and deliveries: minutes instead of an hour")
    parser.add_argument("--only", default="", metavar="WORD", help="only groups whose name has this word")
    parser.add_argument(
        "--json", type=Path, nargs="?", const=FIGURES, metavar="FILE", help="write the figures to a file"
    )
    args = parser.parse_args()
    console = Console(stderr=True)
    found, left_out = [], {}
    start = os.getloadavg()[0]
    for name, measure in groups(ingestion.open_data(), quick=args.quick):
        if args.only not in name:
            continue
        if measure is None:
            left_out[name] = "for lack of the open data (AISLE_DATA)"
            continue
        with console.status(f"measuring: {name}"):
            found += measure()
    run = Run(found, left_out, machine(), versions(), (start, os.getloadavg()[0]), today())
    show(run)
    if args.json:
        args.json.write_text(json.dumps(run.as_dict(), indent=1) + "\n")


def groups(data: Path | None, *, quick: bool) -> Sequence[tuple[str, Measure | None]]:
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
        ("night", partial(night.rows, small=quick)),
        ("DAG files", dags.rows),
    ]


def show(run: Run) -> None:
    """Print the table."""
    table = Table(title=f"load {run.load[0]:.1f} to {run.load[1]:.1f}")
    for name in HEADER:
        text = name in ("what", "beside", "goal", "")
        table.add_column(name, justify="left" if text else "right", no_wrap=not text)
    for group, rows in groupby(run.rows, lambda row: row.group):
        table.add_row(group, style="bold")
        for row in rows:
            table.add_row(*cells(row))
    Console().print(table)
    for group, reason in run.left_out.items():
        print(f"Not measured: {group}, {reason}.")


if __name__ == "__main__":
    main()
