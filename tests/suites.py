"""Suites for tests whose deliveries have so few rows that one bad row is a large share of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from pipeline.ingestion.rows import NO_ROWS, Rows
from pipeline.ingestion.staging import Stage
from pipeline.ingestion.suites import Parameters, Suite, Validation
from pipeline.ingestion.validation import SuiteCheck
from pipeline.lake.sql import Engine
from pipeline.settings import Settings

EXPECTATIONS = Path(__file__).resolve().parents[1] / "expectations"


def without_share_limit(folder: Path) -> Path:
    """Write the suites into a new folder, changed so that any share of a delivery's rows may be rejected."""
    folder.mkdir()
    for file in EXPECTATIONS.glob("*.json"):
        suite = json.loads(file.read_text(encoding="utf-8")) | {"meta": {"max_quarantined_share": 1}}
        (folder / file.name).write_text(json.dumps(suite), encoding="utf-8")
    return folder


def validated(
    rows: pa.Table, suite: Suite, parameters: Parameters, measures: Mapping[str, str], batch: int = 2
) -> Validation:
    """Hold typed rows against a suite as ingestion does it, in batches of so many rows; they are numbered from 0."""
    numbers = pa.array(range(rows.num_rows), pa.int64())
    numbered = rows.drop_columns([n for n in ("row",) if n in rows.column_names]).append_column("row", numbers)
    check = SuiteCheck(suite, parameters, measures)
    with Stage(Engine(Settings())) as stage:
        for start in range(0, max(rows.num_rows, 1), batch):
            part = numbered.slice(start, batch)
            stage.add(
                Rows(part.select(["row"]).cast(pa.schema([("row", pa.string())])), part["row"].combine_chunks()), part
            )
            check.add(part)
        stage.seal()
        return check.finish(stage, NO_ROWS, parameters)
