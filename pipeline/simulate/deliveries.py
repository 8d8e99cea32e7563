"""Deliveries of the simulated sources, as CSV bytes or as files: one a day, or one for all days."""

from __future__ import annotations

import io
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
from pyarrow import csv
from upath import UPath

from pipeline.errors import UsageError
from pipeline.logs import log_each
from pipeline.simulate import chain
from pipeline.simulate.addresses import kind_of
from pipeline.simulate.defects import Defect, Planted, parse_defects, plant
from pipeline.simulate.footfall import Door
from pipeline.simulate.seasons import is_open
from pipeline.simulate.shop import SCHEMA, Shop
from pipeline.simulate.visits import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

DEFECTS = "&defects="
_SECONDS = SCHEMA.set(SCHEMA.get_field_index("InvoiceDate"), pa.field("InvoiceDate", pa.timestamp("s")))


@dataclass(frozen=True)
class Written:
    """A written delivery: its file, its rows before defects were planted, and those defects."""

    path: UPath
    rows: int
    planted: tuple[Planted, ...] = ()


def csv_bytes(table: pa.Table, *, header: bool = True) -> bytes:
    """Write the shop's lines as CSV: UTF-8, comma, text in quotes, `YYYY-MM-DD HH:MM:SS`, missing values empty."""
    out = io.BytesIO()
    csv.write_csv(table.cast(_SECONDS), out, csv.WriteOptions(include_header=header))
    return out.getvalue()


def _visits(address: str, start: date, end: date) -> pa.Table:
    return Shelf.from_uri(address).visits(start, end)


def _people(address: str, start: date, end: date) -> pa.Table:  # noqa: ARG001 (people do not change)
    return Shelf.from_uri(address).people_table()


def _footfall(address: str, start: date, end: date) -> pa.Table:
    return Door.from_uri(address).days(start, end)


TABLES: Mapping[str, Callable[[str, date, date], pa.Table]] = {
    "visits": _visits,
    "people": _people,
    "footfall": _footfall,
    "store_days": chain.store_days,
    "stores": chain.stores,
    "store_plans": chain.store_plans,
}
"""What is simulated besides the shop, by the word after `simulate://`; each makes the rows of `[start, end)`."""


def _plain_csv(table: pa.Table) -> bytes:
    out = io.BytesIO()
    csv.write_csv(table, out)
    return out.getvalue()


def delivery_bytes(address: str, start: date, end: date) -> bytes:
    """The delivery of a simulated source for `[start, end)`, as CSV.

    The shop's address may also name defects (`&defects=negative_price:2,zero_quantity:1`), which are planted in every
    delivery.
    """
    if kind_of(address) in TABLES:
        return _plain_csv(TABLES[kind_of(address)](address, start, end))
    shop, _, planted = address.partition(DEFECTS)
    data = csv_bytes(Shop.from_uri(shop).lines(start, end))
    return plant(data, parse_defects(planted))[0] if planted else data


def is_trading_day(address: str, day: date) -> bool:
    """Whether the simulated source delivers anything for a day."""
    if kind_of(address) in TABLES:
        return True
    return Shop.from_uri(address.partition(DEFECTS)[0]).is_open(day)


def write_deliveries(
    shop: Shop,
    out: UPath | Path | str,
    start: date,
    end: date,
    *,
    one_file: bool = False,
    defects: Mapping[date, Mapping[Defect, int]] | None = None,
) -> list[Written]:
    """Write the lines of `[start, end)` to files in `out/transactions/`.

    There is one file per trading day, `2025-01-05.csv`, or with `one_file` a single `2025-01-01_2026-01-01.csv`, which
    takes no more memory than one day. A file gets its name only when it is complete.

    Args:
        defects: what to plant, by the delivery's day (with `one_file` by `start`; the file is then held in memory).

    Raises:
        UsageError: if `start` is not before `end`, if there is no line, or if defects are for a delivery that is not
            written.
    """
    if start >= end:
        raise UsageError("There is no day to write", observed=f"[{start}, {end})", allowed="a start before the end")
    defects = dict(defects or {})
    misplaced = [
        day
        for day in defects
        if (day != start if one_file else not (start <= day < end and day >= shop.opened and is_open(day, shop.closed)))
    ]
    if misplaced:
        raise UsageError(
            "Defects are planned for deliveries that will not be written",
            observed=", ".join(map(str, misplaced)),
            allowed=f"{start}, the first day" if one_file else f"days in [{start}, {end}) on which the shop is open",
        )
    folder = UPath(out) / "transactions"
    first = max(start, shop.opened)
    dates = [first + timedelta(days=n) for n in range((end - first).days)]
    simulated = zip(log_each(log, "simulate", dates), shop.days(start, end), strict=False)
    days = ((day, table) for _, (day, table) in simulated if table.num_rows)
    if one_file:
        written = [_write(shop, folder / f"{start}_{end}.csv", (table for _, table in days), defects.get(start, {}))]
    else:
        written = [_write(shop, folder / f"{day}.csv", [table], defects.get(day, {})) for day, table in days]
    if not written:
        raise _nothing_sold()
    return written


def _write(shop: Shop, path: UPath, tables: Iterable[pa.Table], defects: Mapping[Defect, int]) -> Written:
    rows = 0
    planted: list[Planted] = []
    with _replacing(path) as file:
        target = io.BytesIO() if defects else file
        for table in tables:
            target.write(csv_bytes(table, header=not rows))
            rows += table.num_rows
        if not rows:
            raise _nothing_sold()
        if isinstance(target, io.BytesIO):
            data, planted = plant(target.getvalue(), defects, shop.seed)
            file.write(data)
    return Written(path, rows, tuple(planted))


def _nothing_sold() -> UsageError:
    return UsageError(
        "The simulated shop sold nothing on these days", allowed="days on which it is open, from its opening on"
    )


@contextmanager
def _replacing(path: UPath) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name only if the block succeeds, and is removed otherwise."""
    if not isinstance(path, Path):  # a bucket has no cheap rename, and would keep an incomplete file
        with tempfile.TemporaryFile() as spool:
            yield spool
            spool.seek(0)
            with path.open("wb") as file:
                shutil.copyfileobj(spool, file)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
