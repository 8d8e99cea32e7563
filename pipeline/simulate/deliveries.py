"""The simulated shop's lines as its tills deliver them: CSV files, a file a day or one for all days."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
from pyarrow import csv
from upath import UPath

from pipeline.errors import UsageError
from pipeline.simulate.defects import Defect, Planted, plant
from pipeline.simulate.shop import SCHEMA, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

_SECONDS = SCHEMA.set(SCHEMA.get_field_index("InvoiceDate"), pa.field("InvoiceDate", pa.timestamp("s")))


@dataclass(frozen=True)
class Written:
    """A delivery that was written: its file, the rows it had before anything was planted, and what was planted."""

    path: UPath
    rows: int
    planted: tuple[Planted, ...] = ()


def csv_bytes(table: pa.Table, *, header: bool = True) -> bytes:
    """Source lines as CSV: UTF-8, comma, text in quotes, `YYYY-MM-DD HH:MM:SS`, nothing where a value is missing."""
    out = io.BytesIO()
    csv.write_csv(table.cast(_SECONDS), out, csv.WriteOptions(include_header=header))
    return out.getvalue()


def write_deliveries(
    shop: Shop,
    out: UPath | Path | str,
    start: date,
    end: date,
    *,
    one_file: bool = False,
    defects: Mapping[date, Mapping[Defect, int]] | None = None,
) -> list[Written]:
    """Write the lines of `[start, end)` below `out`, in `transactions/`.

    One file a day of trade, `2025-01-05.csv`; or with `one_file` a single `2025-01-01_2026-01-01.csv`, written in as
    little memory as a day takes. A file appears under its name only when it is complete.

    Args:
        defects: what to plant, by day of the delivery (with `one_file`: by `start`; the file is then held in memory).

    Raises:
        UsageError: no day between `start` and `end`, no line in them, or defects for a delivery that is not written.
    """
    if start >= end:
        raise UsageError("no day to write", observed=f"[{start}, {end})", allowed="a start before the end")
    folder = UPath(out) / "transactions"
    wanted = dict(defects or {})
    days = ((day, table) for day, table in shop.days(start, end) if table.num_rows)
    written = []
    if one_file:
        written.append(_write_one(shop, folder / f"{start}_{end}.csv", days, wanted.pop(start, {})))
    else:
        for day, table in days:
            data, planted = plant(csv_bytes(table), wanted.pop(day, {}), shop.seed)
            with _replacing(folder / f"{day}.csv") as file:
                file.write(data)
            written.append(Written(folder / f"{day}.csv", table.num_rows, tuple(planted)))
    if wanted or not sum(item.rows for item in written):
        raise UsageError(
            "defects for deliveries that are not written" if wanted else "the shop sold nothing on these days",
            observed=", ".join(map(str, wanted)) if wanted else f"[{start}, {end})",
            allowed="the first day" if one_file else "days on which the shop is open, after it opened",
        )
    return written


def _write_one(
    shop: Shop, path: UPath, days: Iterator[tuple[date, pa.Table]], defects: Mapping[Defect, int]
) -> Written:
    rows = 0
    planted: list[Planted] = []
    with _replacing(path) as file:
        spoilt = io.BytesIO()
        target = spoilt if defects else file
        for _, table in days:
            target.write(csv_bytes(table, header=not rows))
            rows += table.num_rows
        if defects:
            data, planted = plant(spoilt.getvalue(), defects, shop.seed)
            file.write(data)
    return Written(path, rows, tuple(planted))


@contextmanager
def _replacing(path: UPath) -> Iterator[BinaryIO]:
    """A file to write to that takes its name when the block ends well, and leaves nothing behind when it does not."""
    if not isinstance(path, Path):  # a bucket shows an object only when its upload is complete
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
