"""Reading the DAG files, which Airflow's processor does all day long: seconds and memory.

python -m benchmarks.dags
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.profiling import Stopwatch, in_child
from benchmarks.results import Goal, Row, row_of

DAGS = Path(__file__).parents[1] / "dags"
GROUP = "DAG files"


def main() -> None:
    for row in rows():
        print(f"{row.what:<40} {row.seconds:8.2f} s {row.cpu:8.2f} s cpu {row.peak_mb or 0:8,.0f} MB")


def rows() -> list[Row]:
    """The rows of the table: all files for the first time, then again, as Airflow does every half minute."""
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as home:
        measured = in_child(_parse, home)
    number = len(list(DAGS.glob("*.py")))
    return [
        row_of(GROUP, f"{number} files, first time", measured, ["first"]),
        row_of(GROUP, f"{number} files, again", measured, ["again"], goal=Goal(seconds=5)),
    ]


def _parse(home: str) -> Stopwatch:
    os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    sys.path.insert(0, str(DAGS))
    from airflow.dag_processing.dagbag import DagBag

    watch = Stopwatch()
    for step in ("first", "again"):
        bag = DagBag(str(DAGS))
        if bag.import_errors:
            raise AssertionError(f"DAG files that cannot be read: {bag.import_errors}")
        watch.lap(step)
    return watch


if __name__ == "__main__":
    main()
