"""The engine: within its limits, and only over the files that are wanted."""

from __future__ import annotations

import datetime as dt
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.lake import engine
from pipeline.lake.partitions import among
from pipeline.lake.tables import Lake
from pipeline.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path), memory_limit="300MB", threads=1)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    lake = Lake(settings)
    for n in (1, 2, 3):
        day = date(2025, 1, n)
        table = pa.table(
            {
                "text": pa.array([f"line {n}", None]),
                "whole": pa.array([n, None], pa.int64()),
                "number": pa.array([n / 2, None]),
                "flag": pa.array([True, None]),
                "at": pa.array([dt.datetime(2025, 1, n, 8), None], pa.timestamp("us")),
                "many": pa.array([["a", "b"], None], pa.list_(pa.string())),
                "day": pa.array([day, day], pa.date32()),
            }
        )
        lake.replace("t", {"day": [day]}, table)
    return lake


def days(lake: Lake, settings: Settings, **of: date) -> list[int]:
    found = engine.table(engine.connect(settings), lake, "t", **of)
    return sorted({day.day for day in found.to_pyarrow()["day"].to_pylist()})


def test_values_and_types_are_the_lakes(lake: Lake, settings: Settings) -> None:
    found = engine.table(engine.connect(settings), lake, "t").order_by("day", "whole").to_pyarrow()
    assert found.schema.names == lake.schema("t").names
    kept = lake.read("t").sort_by([("day", "ascending"), ("whole", "ascending")])
    assert found.to_pylist() == kept.to_pylist()
    for name in ("whole", "number", "flag", "at", "day"):
        assert found.schema.field(name).type == lake.schema("t").field(name).type, name


def test_only_files_of_wanted_days_are_opened(lake: Lake, settings: Settings) -> None:
    assert days(lake, settings) == [1, 2, 3]
    assert days(lake, settings, since=date(2025, 1, 2)) == [2, 3]
    assert days(lake, settings, until=date(2025, 1, 2)) == [1]
    # A file that is not wanted may even be gone.
    (gone,) = lake.files("t", keep=among("day", ["2025-01-01"]))
    Path(gone).unlink()
    assert days(lake, settings, since=date(2025, 1, 2), until=date(2025, 1, 3)) == [2]


def test_no_file_wanted_is_no_row_of_the_same_types(lake: Lake, settings: Settings) -> None:
    none = engine.table(engine.connect(settings), lake, "t", since=date(2026, 1, 1))
    assert none.count().execute() == 0
    assert none.schema() == engine.table(engine.connect(settings), lake, "t").schema()


def test_files_are_chosen_by_what_the_commit_says(lake: Lake, settings: Settings) -> None:
    chosen = engine.table(engine.connect(settings), lake, "t", keep=among("day", ["2025-01-03"]))
    assert chosen.whole.max().execute() == 3
    assert chosen.count().execute() == 2


def test_an_old_version_can_be_read(lake: Lake, settings: Settings) -> None:
    assert engine.table(engine.connect(settings), lake, "t", 0).count().execute() == 2


def test_a_table_without_partitions(lake: Lake, settings: Settings) -> None:
    lake.append("log", pa.table({"day": ["a"], "x": [1]}))
    assert engine.table(engine.connect(settings), lake, "log").to_pyarrow().to_pylist() == [{"day": "a", "x": 1}]


def setting(con: object, name: str) -> str:
    return str(con.raw_sql(f"SELECT current_setting('{name}')").fetchone()[0])  # type: ignore[attr-defined]


def test_limits_hold_and_nothing_is_downloaded(settings: Settings) -> None:
    con = engine.connect(settings)
    assert setting(con, "threads") == "1"
    assert setting(con, "memory_limit") == "286.1 MiB"
    assert setting(con, "autoinstall_known_extensions").lower() == "false"


def test_connections_spill_apart_and_leave_nothing(settings: Settings) -> None:
    first, second = engine.connect(settings), engine.connect(settings)
    folders = [Path(setting(con, "temp_directory")) for con in (first, second)]
    # Two that share a folder overwrite each other's spilt pages.
    assert folders[0] != folders[1]
    small = engine.connect(settings.model_copy(update={"memory_limit": "60MB"}))
    folder = Path(setting(small, "temp_directory"))
    small.raw_sql("CREATE TABLE t AS SELECT range AS a, md5(range::VARCHAR) AS b FROM range(2000000)")
    assert list(folder.iterdir())
    small.disconnect()
    assert not folder.exists()
