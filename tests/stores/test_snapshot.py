"""A snapshot has the sales before its day and the plan from it on, and refuses a lake without either table."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.errors import RefusedError
from pipeline.lake import engine
from pipeline.lake.tables import Lake
from pipeline.settings import Settings
from pipeline.stores.snapshot import read_snapshot
from tests.stores.simulated import AS_OF, CHAIN, FIRST, HORIZON, UNDATED, write_chain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.stores.snapshot import Snapshot

EARLIER = AS_OF - dt.timedelta(days=10)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=str(tmp_path))
    write_chain(settings, AS_OF)
    return settings


def snapshot(settings: Settings, as_of: dt.date) -> Snapshot:
    return read_snapshot(engine.connect(settings), Lake(settings), as_of, HORIZON.days)


def frame(table: object) -> pd.DataFrame:
    return table.to_pandas().sort_values(["store", "day"], ignore_index=True)  # type: ignore[attr-defined]


def test_past_and_plan_meet_at_the_day(settings: Settings) -> None:
    known = snapshot(settings, AS_OF)
    past, plan = frame(known.past), frame(known.plan)
    assert (past["day"].min().date(), past["day"].max().date()) == (FIRST, AS_OF - dt.timedelta(days=1))
    assert (plan["day"].min().date(), plan["day"].max().date()) == (AS_OF, AS_OF + HORIZON - dt.timedelta(days=1))
    assert "sales" not in plan
    both = frame(known.store_days)
    assert both.loc[both["day"].dt.date >= AS_OF, ["sales", "customers"]].isna().all(axis=None)


def test_recorded_days_without_a_plan_are_part_of_the_plan(settings: Settings) -> None:
    """Ten days before the plan begins, its first ten days are read from the recorded days."""
    plan = frame(snapshot(settings, EARLIER).plan)
    truth = CHAIN.days(EARLIER, EARLIER + HORIZON).to_pandas()
    assert len(plan) == len(truth)
    assert plan["open"].tolist() == truth.sort_values(["store", "day"])["open"].tolist()


def test_a_plan_overrides_the_recorded_day(settings: Settings) -> None:
    lake = Lake(settings)
    closed = lake.read("store_plans", where={"day": [AS_OF]})
    place = closed.schema.get_field_index("open")
    days = {"day": [EARLIER]}
    planned = closed.set_column(place, "open", pa.array([False] * len(closed)))
    planned = planned.set_column(planned.schema.get_field_index("day"), "day", pa.array([EARLIER] * len(closed)))
    lake.replace("store_plans", days, planned)
    plan = frame(snapshot(settings, EARLIER).plan)
    first = plan[plan["day"].dt.date == EARLIER]
    assert len(first) == CHAIN.count
    assert not first["open"].any()


def test_a_lake_without_earlier_days_is_refused(settings: Settings) -> None:
    with pytest.raises(RefusedError, match="no store days before this day"):
        snapshot(settings, FIRST)


def test_a_lake_without_a_table_of_stores_is_refused(settings: Settings, tmp_path: Path) -> None:
    other = Settings(home=str(tmp_path / "other"))
    days = Lake(settings).read("store_days", where={"day": [FIRST]})
    Lake(other).replace("store_days", {"day": [FIRST]}, days)
    with pytest.raises(RefusedError, match="no table of stores"):
        snapshot(other, AS_OF)


def test_a_store_that_the_table_of_stores_lacks_has_unknown_attributes(settings: Settings) -> None:
    lake = Lake(settings)
    stores = lake.read("stores")
    lake.replace("stores", {"day": [UNDATED]}, stores.filter(pc.not_equal(stores["store"], 3)))
    rows = snapshot(settings, AS_OF).stores.to_pandas().set_index("store")
    assert len(rows) == CHAIN.count
    assert (rows.loc[3, "store_type"], rows.loc[3, "assortment"], rows.loc[3, "promo2"]) == (
        "unknown",
        "unknown",
        False,
    )


def thinned(settings: Settings, tmp_path: Path, keep: Callable[[pd.Series], pd.Series]) -> Settings:
    """The same chain with only some of its recorded days."""
    days = Lake(settings).read("store_days").to_pandas()
    kept = days[keep(pd.to_datetime(days["day"]))]
    thin = Settings(home=str(tmp_path / "thin"))
    Lake(thin).append("store_days", pa.Table.from_pandas(kept, preserve_index=False), ["day"])
    Lake(thin).append("stores", Lake(settings).read("stores"))
    return thin


@pytest.mark.parametrize(
    ("distance", "keep"),
    [
        (7, lambda day: day.dt.weekday == 0),
        (2, lambda day: (day - pd.Timestamp(FIRST)).dt.days % 2 == 0),
        (31, lambda day: day.dt.day == 1),
    ],
)
def test_rows_of_weeks_and_months_are_refused(
    settings: Settings, tmp_path: Path, distance: int, keep: Callable[[pd.Series], pd.Series]
) -> None:
    with pytest.raises(RefusedError, match="not daily") as refusal:
        snapshot(thinned(settings, tmp_path, keep), AS_OF)
    assert f"one row a store every {distance} days" in str(refusal.value)
    assert "deliver the sales of each day" in str(refusal.value)


@pytest.mark.parametrize(
    "keep",
    [
        lambda day: day.dt.weekday < 5,
        lambda day: (day.dt.month % 4 != 0) & (day.dt.weekday != 6),
        lambda day: day >= pd.Timestamp(AS_OF) - pd.Timedelta(days=3),
    ],
    ids=["no weekends", "closed for months", "three days"],
)
def test_days_without_rows_are_no_other_grain(
    settings: Settings, tmp_path: Path, keep: Callable[[pd.Series], pd.Series]
) -> None:
    thin = thinned(settings, tmp_path, keep)
    assert frame(snapshot(thin, AS_OF).past)["day"].nunique() == len(
        {day for day in Lake(thin).days("store_days") if day < AS_OF}
    )
