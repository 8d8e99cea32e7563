"""Fuzz the way in of a delivery: the readers, the mapping, corrected files and `sources.yaml`.

    python -m benchmarks.fuzz --seconds 3600 [--folder FOLDER]

Atheris (libFuzzer for Python) changes inputs so that they reach new code, beginning with a valid file of each kind. Any
exception other than a refusal is a failure: it is printed once for each place, its input is kept, and the run goes on;
the exit code is 1 if there was one. A crash of the process ends the run at once. Atheris is no dependency, because only
this file needs it: `pip install atheris`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from pathlib import Path

try:
    import atheris
except ImportError:  # it is no dependency
    sys.exit("Atheris is not installed: pip install atheris")

import pyarrow as pa
import pyarrow.parquet as pq

with atheris.instrument_imports(include=["pipeline.ingestion", "pipeline.reports.csv_text", "pipeline.contracts"]):
    from pipeline.contracts import CONTRACTS
    from pipeline.errors import AisleError
    from pipeline.ingestion.deliveries import Delivery
    from pipeline.ingestion.mapping import map_rows
    from pipeline.ingestion.readers import read_rows
    from pipeline.ingestion.rejections import reject
    from pipeline.ingestion.repeats import exact_repeats
    from pipeline.ingestion.replay import corrected_rows
    from pipeline.ingestion.rows import Malformed, Rows, union
    from pipeline.ingestion.source_schema import Format
    from pipeline.ingestion.sources import NamedSource, load_sources
    from pipeline.ingestion.staging import Stage
    from pipeline.lake.sql import Engine
    from pipeline.reports.csv_text import read_csv, write_csv
    from pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "sources.yaml"
DELIVERY = Delivery("transactions", "till", "till--x.csv", "x.csv", "/x.csv")
FORMS = (
    ("x.csv", Format()),
    ("x.csv", Format(delimiter=";", encoding="cp1252", decimal=",", final_newline="optional")),
    ("x.csv", Format(encoding="utf-16", delimiter="\t")),
    ("x.csv.gz", Format()),
    ("x.zip", Format()),
    ("x.xlsx", Format(type="xlsx")),
    ("x.parquet", Format(type="parquet")),
    ("x.zip", Format(type="xlsx")),
)
CELLS = (
    *("", " ", "1", "-1", "1.0", "0", "1e308", "-0.0", "nan", "None", "inf", "\x00", "2025-01-31", "9999-12-31"),
    *(
        "2025-01-31 10:00:00",
        "0001-01-01",
        "true",
        "a",
        "=1+1",
        "'=1",
        "\u202e1",
        "é",
        "99999999999999999999",
        "\x1b[2J",
    ),
)


def named_sources() -> list[NamedSource]:
    """The first source of each table of the repository's own mapping."""
    sources = load_sources(Settings(sources=SOURCES))
    return [sources.get(table) for table in sources.spec.tables]


def fuzz_reader(data: bytes) -> None:
    """Read bytes in one of the formats; whatever is read can be mapped, quarantined and told from its repeats."""
    name, form = FORMS[data[0] % len(FORMS)] if data else FORMS[0]
    rows = read_rows(data[1:], name, form, 1 << 26)
    assert rows.total_rows == rows.table.num_rows + len(rows.malformed)
    numbers = {*rows.numbers.to_pylist(), *(line.row for line in rows.malformed)}
    assert numbers == set(range(1, rows.total_rows + 1))
    exact_repeats(rows)
    assert quarantined(rows, NAMED[0]).num_rows == rows.total_rows


def quarantined(rows: Rows, named: NamedSource) -> pa.Table:
    """The rows of the quarantine if every row is rejected."""
    contract = CONTRACTS[named.table]
    with Stage(Engine(Settings())) as stage:
        stage.add(rows, map_rows(rows, named, contract).rows)
        stage.seal()
        split = union(rows.numbers.to_numpy(zero_copy_only=False))
        return reject(stage, rows.malformed, split, (), DELIVERY, named, contract).reader().read_all()


def fuzz_mapping(data: bytes) -> None:
    """Map rows of any cells: each is typed, missing or faulty."""
    provider = atheris.FuzzedDataProvider(data)
    named = NAMED[provider.ConsumeIntInRange(0, len(NAMED) - 1)]
    columns = [name.replace("{brand}", brand) for name in named.spec.known_columns for brand in "AB"]
    columns = list(dict.fromkeys(columns))
    height = provider.ConsumeIntInRange(0, 4)

    def cell() -> str | None:
        if provider.ConsumeBool():
            return CELLS[provider.ConsumeIntInRange(0, len(CELLS) - 1)] or None
        return provider.ConsumeUnicodeNoSurrogates(provider.ConsumeIntInRange(0, 24)) or None

    table = pa.table({name: pa.array([cell() for _ in range(height)], pa.string()) for name in columns})
    malformed = (Malformed(height + 1, "x", "1 fields instead of 2"),) if provider.ConsumeBool() else ()
    rows = Rows(table, pa.array(range(1, height + 1), pa.int64()), malformed)
    mapped = map_rows(rows, named, CONTRACTS[named.table])
    assert mapped.rows.num_rows == height
    mapped.rows.validate(full=True)
    assert set(mapped.faults) <= set(range(1, height + 1))
    rejected = quarantined(rows, named)
    assert [json.loads(raw) for raw in rejected["raw"].to_pylist()[:height]] == table.to_pylist()


def fuzz_replay(data: bytes) -> None:
    """Read corrected files of any text, and read back what was written of any cells."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        width = provider.ConsumeIntInRange(2, 4)
        rows = [
            [provider.ConsumeUnicodeNoSurrogates(provider.ConsumeIntInRange(0, 12)) for _ in range(width)]
            for _ in range(provider.ConsumeIntInRange(1, 4))
        ]
        assert read_csv(write_csv(rows), "x") == rows
        return
    text = provider.ConsumeUnicodeNoSurrogates(provider.remaining_bytes())
    corrected, numbers = corrected_rows(text, {1, 2, 3}, "x")
    assert numbers <= {1, 2, 3}
    rows = read_rows(corrected.encode(), "x.csv", Format(final_newline="optional"))
    assert rows.total_rows == len(numbers)
    assert not rows.malformed


def fuzz_sources(data: bytes) -> None:
    """Check a mapping file of any bytes."""
    MAPPING.write_bytes(data)
    load_sources(Settings(sources=MAPPING), "transactions")


TARGETS = (fuzz_reader, fuzz_mapping, fuzz_replay, fuzz_sources)


def seeds() -> list[bytes]:
    """One valid input of each kind."""
    text = "InvoiceNo,StockCode,Description,Quantity,UnitPrice,InvoiceDate,CustomerID,Country\n"
    text += '1,10001,"a ""thing""",1,1.5,2025-03-03 10:00:00,77,France\nC2,POST,,-1,3,2025-03-03 10:00:00,,\n'
    plain = text.encode()
    table = pa.table(
        {name: [cell] for name, cell in zip(*(line.split(",") for line in text.splitlines()[::2]), strict=True)}
    )
    parquet, book, archive = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    from openpyxl import Workbook

    workbook = Workbook()
    for row in text.splitlines():
        workbook.active.append(row.split(","))
    workbook.save(book)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("x.csv", plain)
    bodies = (
        *(
            plain,
            text.replace(",", ";").encode("cp1252"),
            text.replace(",", "\t").encode("utf-16"),
            gzip.compress(plain),
        ),
        *(archive.getvalue(), book.getvalue(), parquet.getvalue(), archive.getvalue()),
    )
    readers = [bytes([0, kind]) + body for kind, body in enumerate(bodies)]
    others = [b"\1" + bytes(range(256)), b"\2\0_row,_reasons,A\n1,x,'=2\n2,,3\n", b"\3" + SOURCES.read_bytes()]
    return [*readers, *others]


def main() -> int:
    """Fuzz for some time; return 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.mkdtemp(prefix="aisle-fuzz-")))
    options = parser.parse_args()
    corpus = options.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    runs: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    failures: dict[str, str] = {}
    start = time.monotonic()

    def fuzz_one(data: bytes) -> None:
        target = TARGETS[data[0] % len(TARGETS)] if data else TARGETS[0]
        runs[target.__name__] += 1
        try:
            target(data[1:])
        except AisleError:
            refused[target.__name__] += 1
        except Exception as error:  # noqa: BLE001 (that is what is looked for)
            frames = traceback.extract_tb(error.__traceback__)
            place = f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"
            if place not in failures:
                failures[place] = str(error)[:200]
                kept = options.folder / f"failure-{hashlib.sha256(data).hexdigest()[:12]}"
                kept.write_bytes(data)
                print(f"FAILED {target.__name__}: {place}: {failures[place]!r}, kept as {kept}", flush=True)
                traceback.print_exc()
        if sum(runs.values()) % 5000 == 0:
            _print_state(runs, refused, failures, time.monotonic() - start)

    arguments = [sys.argv[0], str(corpus), f"-max_total_time={options.seconds}", "-max_len=8192", "-rss_limit_mb=4096"]
    arguments += ["-timeout=60", f"-artifact_prefix={options.folder}/", "-verbosity=0", "-print_final_stats=1"]
    atheris.Setup(arguments, fuzz_one)
    try:
        # libFuzzer ends the process itself; its exit code says whether the run was complete.
        import atexit

        atexit.register(lambda: _print_state(runs, refused, failures, time.monotonic() - start))
        atheris.Fuzz()
    finally:
        _print_state(runs, refused, failures, time.monotonic() - start)
    return 1 if failures else 0


def _print_state(runs: Counter[str], refused: Counter[str], failures: dict[str, str], seconds: float) -> None:
    parts = ", ".join(f"{name} {runs[name]:,} ({refused[name]:,} refused)" for name in sorted(runs))
    print(f"{seconds:,.0f} s: {sum(runs.values()):,} inputs: {parts}; {len(failures)} failures", flush=True)


MAPPING = Path(tempfile.mkdtemp(prefix="aisle-fuzz-")) / "sources.yaml"
NAMED = named_sources()

if __name__ == "__main__":
    raise SystemExit(main())
