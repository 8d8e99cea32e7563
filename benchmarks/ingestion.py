"""Ingestion of the real rows (raw CSV -> typed rows -> validation -> clean table -> features), compared with pandas.

python -m benchmarks.ingestion [--data FOLDER]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.customers import HOME_COUNTRY, REAL_AS_OF, WINDOW_DAYS, assert_equal
from benchmarks.profiling import Measured, Stopwatch, in_child, show

SOURCES = Path(__file__).parents[1] / "examples" / "open-data" / "sources.yaml"
SOURCE = "online-retail-csv"
CSV = "OnlineRetail.csv"


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument(
        "--data", type=Path, default=os.environ.get("AISLE_DATA"), help="folder with online_retail.parquet"
    )
    data = args.parse_args().data
    if not data or not (Path(data) / "online_retail.parquet").exists():
        print("Skipped: give the folder of online_retail.parquet with --data or AISLE_DATA.")
        return
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as name:
        folder = Path(name)
        in_child(_make_csv, Path(data) / "online_retail.parquet", folder / CSV)
        rival = in_child(_pandas, folder)
        ours = in_child(_ours, folder)
        in_child(assert_equal, folder / "ours.parquet", folder / "pandas.parquet")
    show(
        "Raw CSV of 541,909 lines -> features, seconds by the clock (cpu) (same features, to 1e-9)",
        [("", "aisle", "pandas"), *_rows(ours, rival)],
    )


def _rows(ours: Measured, rival: Measured) -> list[tuple[str, ...]]:
    def cell(measured: Measured, *steps: str) -> str:
        wall, cpu = (sum(of.get(step, 0.0) for step in steps) for of in (measured.steps, measured.cpu))
        return f"{wall:.2f} ({cpu:.2f})" if any(step in measured.steps for step in steps) else "-"

    steps = list(dict.fromkeys([*ours.steps, *rival.steps]))
    work = [step for step in steps if step not in ("imports", "validate")]
    rows: list[tuple[str, ...]] = [(step, cell(ours, step), cell(rival, step)) for step in steps]
    rows.append(("all but imports and validation", cell(ours, *work), cell(rival, *work)))
    seconds = [sum(m.steps.get(step, 0.0) for step in work) for m in (ours, rival)]
    rows.append(("faster", f"{seconds[1] / seconds[0]:.1f} x", "1.0 x"))
    rows.append(("peak MB, imports included", f"{ours.peak_mb:,.0f}", f"{rival.peak_mb:,.0f}"))
    return rows


def _make_csv(raw: Path, out: Path) -> Stopwatch:
    import duckdb

    duckdb.sql(f"SELECT * FROM '{raw}'").write_csv(str(out))
    return Stopwatch()


def _ours(folder: Path) -> Stopwatch:
    watch = Stopwatch()
    from pipeline.customers.features import customer_features
    from pipeline.ingestion import steps as ingestion
    from pipeline.ingestion import validation
    from pipeline.lake import engine
    from pipeline.lake.tables import Lake
    from pipeline.settings import load_settings

    # Validation is one call inside a step; its seconds are taken there and out of the step's.
    validating = Stopwatch()
    validate = validation.validate

    def timed(*args: Any) -> Any:
        validating.restart()
        verdict = validate(*args)
        validating.lap("validate")
        return verdict

    setattr(validation, "validate", timed)  # noqa: B010 - assigning it plainly is refused by the type checker
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
    con = engine.connect(settings)
    lines = engine.table(con, Lake(settings), "transactions", until=REAL_AS_OF)
    table = customer_features(lines, REAL_AS_OF, window_days=WINDOW_DAYS, home_country=HOME_COUNTRY)
    con.to_parquet(table, folder / "ours.parquet")
    watch.lap("features")
    return watch


def _pandas(folder: Path) -> Stopwatch:
    watch = Stopwatch()
    from benchmarks import pandas_baseline

    watch.lap("imports")
    lines = pandas_baseline.clean(folder / CSV)
    watch.lap("read and type")
    lines.to_parquet(folder / "clean.parquet")
    watch.lap("commit the clean table")
    pandas_baseline.features(lines, REAL_AS_OF, WINDOW_DAYS, HOME_COUNTRY).to_parquet(folder / "pandas.parquet")
    watch.lap("features")
    return watch


if __name__ == "__main__":
    main()
