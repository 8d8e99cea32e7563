"""The real rows as 305 daily files and as one file: both give the same table; how long each takes.

python -m benchmarks.open_data [--data FOLDER]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "examples" / "open-data" / "sources.yaml"


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument(
        "--data", type=Path, default=os.environ.get("AISLE_OPEN_DATA"), help="folder with online_retail.parquet"
    )
    data = args.parse_args().data
    if not data or not (Path(data) / "online_retail.parquet").exists():
        print("Left out: name the folder of online_retail.parquet by --data or AISLE_OPEN_DATA.")
        return
    import duckdb

    from pipeline.contracts import CONTRACTS
    from pipeline.ingestion import ledger
    from pipeline.ingestion import steps as ingestion
    from pipeline.lake.tables import Lake
    from pipeline.settings import load_settings

    columns = [name for name in CONTRACTS["transactions"].schema.names if name not in ("delivery", "row")]
    order = [(name, "ascending") for name in columns]
    tables = []
    with tempfile.TemporaryDirectory(prefix="aisle-bench-") as name:
        folder = Path(name)
        days = folder / "drops" / "transactions"
        days.mkdir(parents=True)
        con = duckdb.connect()
        con.sql(f"CREATE TABLE t AS SELECT *, CAST(InvoiceDate AS DATE) AS _day FROM '{data}/online_retail.parquet'")
        for (day,) in con.sql("SELECT DISTINCT _day FROM t ORDER BY 1").fetchall():
            con.sql(f"SELECT * EXCLUDE _day FROM t WHERE _day = DATE '{day}'").write_csv(str(days / f"{day}.csv"))
        for source, where in (("online-retail", data), ("online-retail-days", folder)):
            settings = load_settings(home=str(folder / source), sources=SOURCES, data=str(where))
            began = time.monotonic()
            for delivery in ingestion.pending(settings, "transactions", source):
                ingestion.ingest(settings, delivery)
            seconds = time.monotonic() - began
            entries = ledger.entries(Lake(settings))
            read, repeats = sum(e.read for e in entries), sum(e.repeats for e in entries)
            assert all(e.accounted_for for e in entries)
            print(f"{source}: {len(entries)} deliveries, {read:,} rows, {repeats:,} repeats, {seconds:.1f} s")
            tables.append(Lake(settings).read("transactions").select(columns).sort_by(order))
    assert tables[0].equals(tables[1]), "the forms give different tables"
    print(f"The same {tables[0].num_rows:,} rows from both.")


if __name__ == "__main__":
    main()
