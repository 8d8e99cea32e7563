"""Drift of a million rows and twenty columns: seconds and memory of reading two days and comparing them.

python -m benchmarks.drift [--rows 1000000]
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.profiling import Measured, Stopwatch, in_child, show
from benchmarks.results import Goal, Row, row_of

if TYPE_CHECKING:
    import pandas as pd

ROWS, COLUMNS = 1_000_000, 20
TABLE, DAYS = "features", (date(2025, 1, 1), date(2025, 1, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    measured = measure(rows)
    header = ("", "seconds", "cpu", "peak MB")
    lines = [(step, f"{measured.steps[step]:.1f}", f"{measured.cpu[step]:.1f}", "") for step in measured.steps]
    total = ("all", f"{measured.seconds:.1f}", f"{sum(measured.cpu.values()):.1f}", f"{measured.peak_mb:,.0f}")
    show(f"Drift of {rows:,} rows x {COLUMNS} columns", [header, *lines, total])


def measure(rows: int) -> Measured:
    """Compare two days of a table, each with so many rows, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as home:
        in_child(_write, rows, Path(home))
        return in_child(_compare, rows, Path(home))


def rows(number: int = ROWS) -> list[Row]:
    """The row of the table: reading and comparing, without the imports."""
    what, goal = f"{number:,} rows x {COLUMNS} columns: read two days, compare", Goal(seconds=60, peak_mb=2048)
    return [row_of("drift", what, measure(number), ["read", "compare"], goal=goal if number >= ROWS else None)]


def _compare(rows: int, home: Path) -> Stopwatch:
    watch = Stopwatch()
    from evidently import Report  # noqa: F401 - its import takes seconds, and is not the comparison

    from pipeline.lake.tables import Lake
    from pipeline.monitoring.drift import compare
    from pipeline.settings import load_settings
    from pipeline.training.monitored import FEW, NUMBER, MonitoredModel

    watch.lap("imports")
    lake = Lake(load_settings(home=str(home)))
    reference, current = (
        lake.read(TABLE, where={"as_of": [day]}).to_pandas().sort_values("key", ignore_index=True) for day in DAYS
    )
    watch.lap("read")
    methods = {name: FEW if "word" in name else NUMBER for name in reference.columns if name[-1].isdigit()}
    outcome = compare(
        reference, current, methods, seed=7, sample=MonitoredModel.sample, minimum_rows=MonitoredModel.minimum_rows
    )
    watch.lap("compare")
    if outcome.verdict != "no drift" or (outcome.current_rows, len(outcome.columns)) != (rows, COLUMNS):
        raise AssertionError(f"two draws from the same distributions: {outcome.verdict}, {outcome.drifted}")
    return watch


def _write(rows: int, home: Path) -> Stopwatch:
    import pyarrow as pa

    from pipeline.lake.tables import Lake
    from pipeline.settings import load_settings

    lake = Lake(load_settings(home=str(home)))
    for seed, day in enumerate(DAYS):
        table = pa.Table.from_pandas(_frame(rows, seed).assign(as_of=day), preserve_index=False)
        lake.replace(TABLE, {"as_of": [day]}, table)
    return Stopwatch()


def _frame(rows: int, seed: int) -> pd.DataFrame:
    """Draw fifteen columns of numbers, some with missing values, and five of words."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    numbers = {f"number_{k}": rng.lognormal(1, 0.5, rows) for k in range(COLUMNS - 5)}
    for k in range(3):
        numbers[f"number_{k}"][rng.random(rows) < 0.05] = np.nan
    words = {
        f"word_{k}": pd.Categorical.from_codes(rng.integers(0, 7, rows), [f"w{n}" for n in range(7)]).astype(str)
        for k in range(5)
    }
    return pd.DataFrame({"key": rng.permutation(rows)} | numbers | words)


if __name__ == "__main__":
    main()
