"""Simulated deliveries as CSV files: one a day or one for all, complete or not written."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyarrow import csv
from upath import UPath

from pipeline.errors import UsageError
from pipeline.simulate.defects import Defect, plant
from pipeline.simulate.deliveries import csv_bytes, write_deliveries
from pipeline.simulate.shop import SCHEMA, Shop

if TYPE_CHECKING:
    from pathlib import Path

SHOP = Shop(customers=200)
DAYS = (date(2025, 5, 5), date(2025, 5, 19))


def read(data: bytes) -> pa.Table:
    options = csv.ConvertOptions(column_types=SCHEMA, strings_can_be_null=True, quoted_strings_can_be_null=False)
    return csv.read_csv(pa.BufferReader(data), convert_options=options)


def test_the_csv_reads_back_as_the_same_lines() -> None:
    table = SHOP.lines(*DAYS)
    data = csv_bytes(table)
    assert read(data).equals(table)
    header, first, *_ = data.decode().splitlines()
    assert (
        header.replace('"', "") == "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    )
    assert f",{table['InvoiceDate'][0].as_py():%Y-%m-%d %H:%M:%S}," in first
    assert csv_bytes(table, header=False) == data[data.index(b"\n") + 1 :]


def test_a_file_for_each_trading_day(tmp_path: Path) -> None:
    written = write_deliveries(SHOP, tmp_path, *DAYS)
    names = [f"2025-05-{day:02}.csv" for day in range(5, 19) if day not in (10, 17)]  # Saturdays
    assert [item.path.name for item in written] == names
    assert sorted(p.name for p in (tmp_path / "transactions").iterdir()) == names
    parts = [read(item.path.read_bytes()) for item in written]
    assert [part.num_rows for part in parts] == [item.rows for item in written]
    assert pa.concat_tables(parts).combine_chunks().equals(SHOP.lines(*DAYS))


def test_one_file_holds_the_same_lines(tmp_path: Path) -> None:
    [written] = write_deliveries(SHOP, tmp_path, *DAYS, one_file=True)
    assert written.path.name == "2025-05-05_2025-05-19.csv"
    assert written.path.read_bytes() == csv_bytes(SHOP.lines(*DAYS))
    assert written.rows == SHOP.lines(*DAYS).num_rows


def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    first = {item.path.name: item.path.read_bytes() for item in write_deliveries(SHOP, tmp_path, *DAYS)}
    again = {item.path.name: item.path.read_bytes() for item in write_deliveries(SHOP, tmp_path, *DAYS)}
    assert first == again


def test_a_bucket_takes_deliveries_too() -> None:
    out = UPath("memory://simulated-shop")
    [written] = write_deliveries(SHOP, out, *DAYS, one_file=True)
    assert str(written.path).endswith("transactions/2025-05-05_2025-05-19.csv")
    assert written.path.read_bytes() == csv_bytes(SHOP.lines(*DAYS))


@pytest.mark.parametrize("one_file", [False, True])
def test_defects_are_in_the_delivery_of_their_day_and_listed_with_it(tmp_path: Path, one_file: bool) -> None:
    wanted = {Defect.NAN_PRICE: 2, Defect.MISSING_INVOICE: 1}
    clean = {i.path.name: i.path.read_bytes() for i in write_deliveries(SHOP, tmp_path / "a", *DAYS, one_file=one_file)}
    spoilt = write_deliveries(SHOP, tmp_path / "b", *DAYS, one_file=one_file, defects={DAYS[0]: wanted})
    first, *others = spoilt
    data, planted = plant(clean[first.path.name], wanted, SHOP.seed)
    assert first.path.read_bytes() == data
    assert list(first.planted) == planted
    for item in others:
        assert item.planted == ()
        assert item.path.read_bytes() == clean[item.path.name]


@pytest.mark.parametrize("out", ["local", "memory://simulated-shop-broken"])
def test_a_delivery_that_fails_leaves_nothing_behind(tmp_path: Path, out: str) -> None:
    folder = UPath(out) if "://" in out else UPath(tmp_path / out)
    with pytest.raises(UsageError, match="more defects than rows"):
        write_deliveries(SHOP, folder, *DAYS, one_file=True, defects={DAYS[0]: {Defect.NAN_PRICE: 10**6}})
    assert [p for p in folder.glob("**/*") if p.is_file()] == []


def test_a_failure_keeps_the_delivery_that_was_there(tmp_path: Path) -> None:
    [written] = write_deliveries(SHOP, tmp_path, *DAYS, one_file=True)
    before = written.path.read_bytes()
    with pytest.raises(UsageError):
        write_deliveries(SHOP, tmp_path, *DAYS, one_file=True, defects={DAYS[0]: {Defect.NAN_PRICE: 10**6}})
    assert [p.name for p in written.path.parent.iterdir()] == [written.path.name]
    assert written.path.read_bytes() == before


def test_impossible_deliveries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no day"):
        write_deliveries(SHOP, tmp_path, DAYS[0], DAYS[0])
    for one_file in (False, True):
        with pytest.raises(UsageError, match="sold nothing"):
            write_deliveries(SHOP, tmp_path, date(2020, 1, 1), date(2020, 2, 1), one_file=one_file)
    with pytest.raises(UsageError, match="2025-05-10"):  # a Saturday
        write_deliveries(SHOP, tmp_path, *DAYS, defects={date(2025, 5, 10): {Defect.NAN_PRICE: 1}})
    with pytest.raises(UsageError, match="2025-05-06"):  # one file is the delivery of its first day
        write_deliveries(SHOP, tmp_path, *DAYS, one_file=True, defects={date(2025, 5, 6): {Defect.NAN_PRICE: 1}})
    assert [p for p in tmp_path.glob("**/*") if p.is_file()] == []
