"""The simulated chain as its systems deliver it: any slice is the same as its days, plans cover 48 days ahead."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipeline.errors import UsageError
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from pipeline.simulate.deliveries import delivery_bytes, is_trading_day
from pipeline.simulate.store_days import Chain

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2025, 12, 24)
DAYS = "simulate://store_days?seed=3&stores=5"


def delivered(address: str, start: date, end: date) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(delivery_bytes(address, start, end)), dtype={"StateHoliday": str})


def test_any_slice_is_the_concatenation_of_its_days() -> None:
    days = [DAY + timedelta(days=n) for n in range(4)]
    each = [delivered(DAYS, day, day + timedelta(days=1)) for day in days[:3]]
    whole = delivered(DAYS, days[0], days[3])
    pd.testing.assert_frame_equal(pd.concat(each, ignore_index=True), whole)
    assert list(whole["StateHoliday"].unique()) == ["0", "c"]
    assert list(whole.columns) == [
        "Store", "Date", "Sales", "Customers", "Open", "Promo", "StateHoliday", "SchoolHoliday",
    ]  # fmt: skip


def test_a_plan_covers_the_next_48_days_and_has_no_sales() -> None:
    plan = delivered("simulate://store_plans?seed=3&stores=5", DAY, DAY + timedelta(days=1))
    first, last = DAY + timedelta(days=1), DAY + timedelta(days=48)
    assert (plan["Date"].min(), plan["Date"].max(), plan["Date"].nunique()) == (first.isoformat(), last.isoformat(), 48)
    came = delivered(DAYS, first, last + timedelta(days=1))
    pd.testing.assert_frame_equal(plan, came.drop(columns=["Sales", "Customers"]))


def test_addresses() -> None:
    assert len(delivered("simulate://stores?stores=12", DAY, DAY)) == 12
    assert len(delivered("simulate://stores", DAY, DAY)) == Chain.count
    assert is_trading_day(DAYS, DAY)
    for address, fault in (
        ("simulate://stores?shops=1", "shops: unknown option"),
        ("simulate://store_plans?seed=x", "cannot read 'x'"),
        ("simulate://store_days?stores=0", "cannot be simulated"),
    ):
        with pytest.raises(UsageError, match=fault):
            delivery_bytes(address, DAY, DAY + timedelta(days=1))


def test_simulated_deliveries_are_ingested_unchanged(tmp_path: Path) -> None:
    settings = Settings(home=str(tmp_path), sources=ROOT / "sources.yaml", expectations=ROOT / "expectations")
    end = DAY + timedelta(days=3)
    for table in ("store_days", "stores", "store_plans"):
        (delivery,) = ingestion.pending(settings, table, since=DAY, until=end)
        entry = ingestion.ingest(settings, delivery).entry
        assert (entry.quarantined, entry.repeats) == (0, 0)
    made = Chain(seed=7, count=40)
    stores = Lake(settings).read("stores").sort_by("store")
    assert stores.select(made.stores().column_names).equals(made.stores())
    for table, expected in (
        ("store_days", made.days(DAY, end)),
        ("store_plans", made.days(DAY + timedelta(days=1), end + timedelta(days=48))),
    ):
        found = Lake(settings).read(table).sort_by([("day", "ascending"), ("store", "ascending")])
        names = [name for name in expected.column_names if name in found.column_names]
        assert pa.table(found.select(names)).equals(expected.select(names)), table
