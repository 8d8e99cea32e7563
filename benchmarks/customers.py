"""Customer features beside plain pandas and hand-written SQL, on the real rows and on 54 million simulated ones.

python -m benchmarks.customers [--data FOLDER] [--lines N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.profiling import Measured, Stopwatch, in_child, show
from benchmarks.results import Goal, Row, row_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

REAL_AS_OF = dt.date(2011, 12, 10)
SIMULATED_FROM = dt.date(2024, 1, 1)
SIMULATED_AS_OF = dt.date(2024, 12, 31)  # the day after a window of 365 days
HOME_COUNTRY = "United Kingdom"
WINDOW_DAYS = 365
MEMORY_GB = 4.0
REAL, SIMULATED = "features of customers, real lines", "features of customers, simulated lines"
ENGINE_MEMORY = "3GB"  # DuckDB counts only its buffers; the rest of the 4 GB is for Python and the result
LINES_A_CUSTOMER = 61.0  # of the simulated shop, in its first year


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument(
        "--data", type=Path, default=os.environ.get("AISLE_DATA"), help="folder with online_retail.parquet"
    )
    args.add_argument("--lines", type=float, default=54e6, help="number of simulated rows (0: skip that part)")
    args.add_argument("--keep", type=Path, help="folder in which the simulated rows are kept and reused")
    opts = args.parse_args()
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as folder:
        if opts.data and (opts.data / "online_retail.parquet").exists():
            against_pandas(opts.data / "online_retail.parquet", Path(folder))
        else:
            print(
                "The part on real data is skipped: give the folder of online_retail.parquet with --data or AISLE_DATA."
            )
        if opts.lines:
            at_scale(int(opts.lines), opts.keep or Path(folder) / "lines", Path(folder) / "features.parquet")


def against_pandas(raw: Path, folder: Path) -> None:
    """Compare with plain pandas and with hand-written SQL on the real lines."""
    ours, rival, sql = measure_real(raw, folder)
    show(
        "Clean lines on disk -> 18 features a customer, 541,909 real lines (same results, to 1e-9)",
        [
            ("", "read s", "features s", "cpu s", "faster", "peak MB"),
            _row("pandas, one groupby a feature", rival, "features", rival),
            _row("hand-written SQL", sql, "features", rival),
            _row("aisle, first run in its process", ours, "features", rival),
            _row("aisle, second run", ours, "again", rival),
        ],
    )


def measure_real(raw: Path, folder: Path) -> tuple[Measured, Measured, Measured]:
    """Measure ours, plain pandas and hand-written SQL on the real lines; their results are the same."""
    lines = folder / "transactions.parquet"
    in_child(_clean, raw, lines)
    rival = in_child(_pandas, lines, folder / "pandas.parquet")
    sql = in_child(_sql, lines, folder / "sql.parquet", REAL_AS_OF)
    ours = in_child(_ours, lines, folder / "ours.parquet", REAL_AS_OF, ("features", "again"))
    for other in ("pandas", "sql"):
        in_child(assert_equal, folder / "ours.parquet", folder / f"{other}.parquet")
    return ours, rival, sql


def at_scale(lines: int, folder: Path, out: Path) -> None:
    """Print what the features of so many simulated lines take, beside hand-written SQL."""
    rows, customers, ours, sql = measure_simulated(lines, folder, out)
    show(
        f"{rows:,} simulated lines -> features of {customers:,} customers, DuckDB with {ENGINE_MEMORY}",
        [
            ("", "features s", "cpu s", "peak MB"),
            *(
                (name, f"{m.steps['features']:.1f}", f"{m.cpu['features']:.1f}", f"{m.peak_mb:,.0f}")
                for name, m in (("aisle", ours), ("hand-written SQL", sql))
            ),
        ],
    )
    assert ours.peak_mb < MEMORY_GB * 1024, f"more than {MEMORY_GB} GB"


def measure_simulated(lines: int, folder: Path, out: Path) -> tuple[int, int, Measured, Measured]:
    """Simulate lines unless the folder has some; return their number, that of customers, and both measurements."""
    if not any(folder.glob("*.parquet")):
        made = in_child(_simulate, lines, folder)
        print(f"Simulated in {made.seconds:.0f} s, peak {made.peak_mb:,.0f} MB.")
    sql = in_child(_sql, folder, out.with_name("sql.parquet"), SIMULATED_AS_OF)
    ours = in_child(_ours, folder, out, SIMULATED_AS_OF)
    in_child(assert_equal, out, out.with_name("sql.parquet"))
    return _count(folder), _count(out), ours, sql


def rows_real(data: Path) -> list[Row]:
    """The rows of the table on the real lines."""
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as folder:
        ours, rival, sql = measure_real(data / "online_retail.parquet", Path(folder))
    what = "541,909 lines, 4,264 customers"
    return [
        row_of(REAL, what, ours, ["features"], beside="plain pandas", rival=rival, rival_steps=["features"]),
        row_of(REAL, f"{what}, again", ours, ["again"], beside="SQL by hand", rival=sql, rival_steps=["features"]),
    ]


def rows_simulated(lines: int, folder: Path | None = None) -> list[Row]:
    """The row of the table on simulated lines, which are kept in a folder if one is given."""
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as name:
        found = measure_simulated(lines, folder or Path(name) / "lines", Path(name) / "features.parquet")
    rows, customers, ours, sql = found
    return [
        row_of(
            SIMULATED,
            f"{rows:,} lines, {customers:,} customers",
            ours,
            beside="SQL by hand",
            rival=sql,
            goal=Goal(ratio=1.3, peak_mb=MEMORY_GB * 1024),
        )
    ]


def _row(name: str, measured: Measured, step: str, rival: Measured) -> tuple[str, ...]:
    seconds, cpu = measured.steps[step], measured.cpu[step]
    read = f"{measured.steps['read']:.2f}" if "read" in measured.steps else "in the query"
    faster = f"{rival.steps['features'] / seconds:.1f} x"
    return name, read, f"{seconds:.2f}", f"{cpu:.2f}", faster, f"{measured.peak_mb:,.0f}"


def _ours(source: Path, out: Path, as_of: dt.date, runs: tuple[str, ...] = ("features",)) -> Stopwatch:
    import ibis

    from pipeline.customers.features import customer_features

    with tempfile.TemporaryDirectory(prefix="aisle-spill-") as spill:
        con = ibis.duckdb.connect(threads=2, memory_limit=ENGINE_MEMORY, temp_directory=spill)
        con.raw_sql("SET enable_progress_bar = false")
        watch = Stopwatch()
        lines = con.read_parquet(source / "*.parquet" if source.is_dir() else source)
        for run in runs:
            table = customer_features(lines, as_of, window_days=WINDOW_DAYS, home_country=HOME_COUNTRY)
            con.to_parquet(table, out)
            watch.lap(run)
    return watch


def _sql(source: Path, out: Path, as_of: dt.date) -> Stopwatch:
    from benchmarks import duckdb_baseline

    with tempfile.TemporaryDirectory(prefix="aisle-spill-") as spill:
        watch = Stopwatch()
        files = source / "*.parquet" if source.is_dir() else source
        duckdb_baseline.features(files, out, as_of, WINDOW_DAYS, HOME_COUNTRY, memory=ENGINE_MEMORY, spill=spill)
        watch.lap("features")
    return watch


def _pandas(source: Path, out: Path) -> Stopwatch:
    import pandas as pd

    from benchmarks import pandas_baseline

    watch = Stopwatch()
    lines = pd.read_parquet(source)
    watch.lap("read")
    pandas_baseline.features(lines, REAL_AS_OF, WINDOW_DAYS, HOME_COUNTRY).to_parquet(out)
    watch.lap("features")
    return watch


def _clean(raw: Path, out: Path) -> Stopwatch:
    """Write the open data, which is typed already, with the columns of the clean table."""
    import ibis

    lines = ibis.read_parquet(raw).distinct()
    _write(lines.filter(lines.UnitPrice >= 0), out)
    return Stopwatch()


def _simulate(lines: int, folder: Path) -> Stopwatch:
    """Write one file for each day of a simulated shop that is large enough for about `lines` rows in a year."""
    import ibis

    from pipeline.simulate.shop import Shop

    folder.mkdir(parents=True, exist_ok=True)
    watch = Stopwatch()
    shop = Shop(customers=int(lines / LINES_A_CUSTOMER), opened=SIMULATED_FROM)
    for day, table in shop.days(SIMULATED_FROM, SIMULATED_AS_OF):
        if table.num_rows:
            _write(ibis.memtable(table), folder / f"{day}.parquet")
    watch.lap("simulate")
    return watch


def _write(lines: ir.Table, out: Path) -> None:
    """Write UCI's columns as Parquet, under the contract's names and with the contract's derived columns."""
    import ibis
    import pyarrow.parquet as pq

    from pipeline.contracts.transactions import TRANSACTIONS

    named = lines.select(
        invoice="InvoiceNo",
        stock_code="StockCode",
        quantity="Quantity",
        unit_price="UnitPrice",
        invoiced_at="InvoiceDate",
        customer_id=lines.CustomerID.cast("string"),
        country="Country",
    )
    engine = ibis.get_backend(lines)
    engine.raw_sql("SET enable_progress_bar = false")
    derived = TRANSACTIONS.derive(engine.to_pyarrow(named), TRANSACTIONS.options)
    pq.write_table(derived, out, compression="zstd")


def assert_equal(ours: Path, theirs: Path) -> Stopwatch:
    """Assert that both files have the same customers with the same features, to 1e-9."""
    import pandas as pd

    left = pd.read_parquet(ours).set_index("customer_id").drop(columns="as_of").sort_index()
    right = pd.read_parquet(theirs)
    if "customer_id" in right:
        right = right.set_index("customer_id")
    pd.testing.assert_frame_equal(left, right[left.columns].sort_index(), rtol=1e-9, atol=1e-9, check_index_type=False)
    return Stopwatch()


def _count(path: Path) -> int:
    import pyarrow.parquet as pq

    files = path.glob("*.parquet") if path.is_dir() else [path]
    return sum(pq.read_metadata(file).num_rows for file in files)


if __name__ == "__main__":
    main()
