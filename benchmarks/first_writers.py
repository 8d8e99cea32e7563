"""Several processes that create the same table at the same time: how often it is doubled, and how often rows are lost.

python -m benchmarks.first_writers [--rounds 200] [--writers 4] [--rows 20000]
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections import Counter
from multiprocessing.synchronize import Barrier

from benchmarks.profiling import show

WAYS = ("replace", "update", "append")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--writers", type=int, default=4)
    arguments.add_argument("--rows", type=int, default=20_000)
    args = arguments.parse_args()
    rows = [("", "rounds", "as expected", "doubled", "rows lost", "seconds")]
    for way in WAYS:
        with tempfile.TemporaryDirectory(prefix="aisle-bench-") as home:
            began = time.monotonic()
            _write_at_once(home, way, args.rounds, args.writers, args.rows)
            seconds = time.monotonic() - began
            counts = [_total_rows(home, n) for n in range(args.rounds)]
        expected = args.rows * (args.writers if way == "append" else 1)
        outcome = Counter((count > expected) - (count < expected) for count in counts)
        rows.append((way, str(args.rounds), *(str(outcome[sign]) for sign in (0, 1, -1)), f"{seconds:.0f}"))
    show(f"{args.writers} processes write the first {args.rows:,} rows of one table at once", rows)
    if any(row[3:5] != ("0", "0") for row in rows[1:]):
        raise SystemExit(1)


def _write_at_once(home: str, way: str, rounds: int, writers: int, rows: int) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(writers)
    processes = [
        context.Process(target=_writer, args=(home, way, rounds, rows, number, together)) for number in range(writers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit(f"A writer failed: exit codes {[process.exitcode for process in processes]}")


def _writer(home: str, way: str, rounds: int, rows: int, number: int, together: Barrier) -> None:
    import pyarrow as pa

    from pipeline.lake.tables import Lake
    from pipeline.settings import Settings

    lake = Lake(Settings(home=home))
    content = pa.table({"value": pa.array([number] * rows), "part": pa.array(["one"] * rows)})
    where = {"part": ["one"]}
    for n in range(rounds):
        together.wait()
        if way == "replace":
            lake.replace(f"t{n}", where, content)
        elif way == "update":
            lake.update(f"t{n}", where, lambda: content)
        else:
            lake.append(f"t{n}", content, ["part"])


def _total_rows(home: str, number: int) -> int:
    from pipeline.lake.tables import Lake
    from pipeline.settings import Settings

    return sum(Lake(Settings(home=home)).row_counts(f"t{number}", "part").values())


if __name__ == "__main__":
    main()
