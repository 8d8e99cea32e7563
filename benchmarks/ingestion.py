"""Ingestion of the real rows (raw CSV -> typed rows -> validation -> clean table -> features), compared with pandas.

python -m benchmarks.ingestion [--data FOLDER] [--lines 1e7]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.customers import HOME_COUNTRY, REAL_AS_OF, WINDOW_DAYS, assert_equal
from benchmarks.profiling import Measured, Stopwatch, in_child, show
from benchmarks.results import Goal, Row, row_of

SOURCES = Path(__file__).parents[1] / "examples" / "open-data" / "sources.yaml"
SOURCE = "online-retail-csv"
CSV = "OnlineRetail.csv"


REAL_LINES = 541_909
WORK = ("land the bytes", "read and type", "commit the clean table")
"""The steps that plain pandas has to take as well."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=open_data(), help="folder with online_retail.parquet")
    parser.add_argument("--lines", type=float, default=REAL_LINES, help="more: so many, the real ones again and again")
    args = parser.parse_args()
    if args.data is None:
        print("Skipped: give the folder of online_retail.parquet with --data or AISLE_DATA.")
        return
    ours, rival = measure(args.data, int(args.lines))
    steps = list(dict.fromkeys([*ours.steps, *rival.steps]))
    lines = [(step, *(_cell(measured, step) for measured in (ours, rival))) for step in steps]
    peaks = ("peak MB, imports included", *(f"{measured.peak_mb:,.0f}" for measured in (ours, rival)))
    show(
        f"Raw CSV of {args.lines:,.0f} lines -> features, s by the clock (cpu)",
        [("", "aisle", "pandas"), *lines, peaks],
    )
    ratio = rows_of(ours, rival, int(args.lines))[0].ratio
    print(f"\n  reading to committing, without validation: {ratio:.2f} times the processor time")


def open_data() -> Path | None:
    """The folder of the public data that AISLE_DATA names, if they are there."""
    folder = Path(os.environ.get("AISLE_DATA", ""))
    return folder if (folder / "online_retail.parquet").exists() else None


def measure(data: Path, lines: int = REAL_LINES) -> tuple[Measured, Measured]:
    """Measure the way from one CSV of the real lines to the features: ours, and that of plain pandas.

    With more lines than there are, the real ones are repeated under other invoice numbers, and the features are left
    out.
    """
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as name:
        folder = Path(name)
        with_features = lines <= REAL_LINES
        in_child(_make_csv, data / "online_retail.parquet", folder / CSV, max(1, round(lines / REAL_LINES)))
        rival = in_child(_pandas, folder, with_features)
        ours = in_child(_ours, folder, with_features)
        if with_features:
            in_child(assert_equal, folder / "ours.parquet", folder / "pandas.parquet")
    return ours, rival


def rows(data: Path, lines: int = REAL_LINES) -> list[Row]:
    """The rows of the table: the same work as plain pandas, and what it does beyond it."""
    return rows_of(*measure(data, lines), lines)


def rows_of(ours: Measured, rival: Measured, lines: int) -> list[Row]:
    goal = Goal(ratio=0.5) if lines <= REAL_LINES else Goal(ratio=0.33, peak_mb=1536)
    group = "ingestion" if lines <= REAL_LINES else "ingestion, repeated lines"
    work = [step for step in WORK if step in rival.steps]
    return [
        row_of(
            group,
            f"{lines:,} lines of CSV: land, read, type, commit",
            ours,
            WORK,
            beside="plain pandas",
            rival=rival,
            rival_steps=work,
            goal=goal,
        ),
        row_of(group, f"{lines:,} lines: validate", ours, ["validate"], goal=None),
    ]


def _cell(measured: Measured, step: str) -> str:
    return f"{measured.steps[step]:.2f} ({measured.cpu[step]:.2f})" if step in measured.steps else "-"


def _make_csv(raw: Path, out: Path, copies: int) -> Stopwatch:
    import duckdb

    repeated = "copy || '-' || InvoiceNo" if copies > 1 else "InvoiceNo"
    lines = duckdb.sql(f"SELECT * REPLACE ({repeated} AS InvoiceNo) FROM '{raw}', range({copies}) AS copies(copy)")
    lines.select("* EXCLUDE copy").write_csv(str(out))
    return Stopwatch()


def _ours(folder: Path, with_features: bool) -> Stopwatch:
    watch = Stopwatch()
    from pipeline.customers.features import customer_features
    from pipeline.ingestion import steps as ingestion
    from pipeline.ingestion.validation import SuiteCheck
    from pipeline.lake import engine
    from pipeline.lake.tables import Lake
    from pipeline.settings import load_settings

    # Validation is several calls inside a step; its seconds are taken there and out of the step's.
    validating = Stopwatch()

    def timed(validate: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            validating.restart()
            outcome = validate(*args)
            validating.lap("validate")
            return outcome

        return call

    for name in ("add", "finish"):
        setattr(SuiteCheck, name, timed(getattr(SuiteCheck, name)))
    settings = load_settings(home=str(folder / "home"), sources=SOURCES, data=str(folder))
    watch.lap("imports")
    (delivery,) = ingestion.pending(settings, "transactions", SOURCE)
    landed = ingestion.land(settings, delivery)
    watch.lap("land the bytes")
    checked = ingestion.check(settings, landed)
    watch.lap("read and type")
    watch.take(validating, "validate", out_of="read and type")
    ingestion.commit(settings, checked)
    watch.lap("commit the clean table")
    if not with_features:
        return watch
    con = engine.connect(settings)
    lines = engine.table(con, Lake(settings), "transactions", until=REAL_AS_OF)
    table = customer_features(lines, REAL_AS_OF, window_days=WINDOW_DAYS, home_country=HOME_COUNTRY)
    con.to_parquet(table, folder / "ours.parquet")
    watch.lap("features")
    return watch


def _pandas(folder: Path, with_features: bool) -> Stopwatch:
    watch = Stopwatch()
    from benchmarks import pandas_baseline

    watch.lap("imports")
    lines = pandas_baseline.clean(folder / CSV)
    watch.lap("read and type")
    lines.to_parquet(folder / "clean.parquet")
    watch.lap("commit the clean table")
    if not with_features:
        return watch
    pandas_baseline.features(lines, REAL_AS_OF, WINDOW_DAYS, HOME_COUNTRY).to_parquet(folder / "pandas.parquet")
    watch.lap("features")
    return watch


if __name__ == "__main__":
    main()
