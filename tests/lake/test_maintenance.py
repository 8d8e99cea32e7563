"""Maintenance removes what nobody needs, and nothing else, also beside a writer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from pipeline.errors import RefusedError
from pipeline.lake import maintenance
from pipeline.lake.commits import CONFIGURATION
from pipeline.lake.health import damages
from pipeline.lake.maintenance import MANY_FILES, MIN_RETENTION, NOTHING, Maintenance, Removed
from pipeline.lake.tables import Lake
from pipeline.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2025, 3, 3)
NOW = datetime.now(UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=str(tmp_path))


def rows(*values: int) -> pa.Table:
    return pa.table({"day": pa.array([DAY] * len(values), pa.date32()), "value": pa.array(values, pa.int64())})


def values(settings: Settings, table: str = "t", version: int | None = None) -> list[int]:
    found: list[int] = sorted(Lake(settings).read(table, version)["value"].to_pylist())
    return found


def age(settings: Settings, days: float) -> None:
    """Make every file of the table older, as Delta sees it: the log says when a file was replaced."""
    seconds = time.time() - days * 86400
    for file in Path(settings.home, "lake", "t").rglob("*"):
        if file.suffix == ".json":
            text = re.sub(r'"(deletionTimestamp|timestamp)":\d+', rf'"\1":{int(seconds * 1000)}', file.read_text())
            file.write_text(text)
        os.utime(file, (seconds, seconds))


def test_a_table_of_an_earlier_release_gets_the_configuration_of_today(settings: Settings) -> None:
    address = Path(settings.home, "lake", "t")
    write_deltalake(address, rows(1, 2), partition_by=["day"], configuration={"delta.checkpointInterval": "100"})
    lake = Lake(settings)
    assert "min.value" in lake.data_files("t")[0]
    assert Maintenance(settings, dry_run=True).update_configuration("t")
    assert lake.version("t") == 0
    assert Maintenance(settings).update_configuration("t")
    assert not Maintenance(settings).update_configuration("t")
    assert DeltaTable(address).metadata().configuration.items() >= CONFIGURATION.items()
    lake.append("t", rows(3))
    assert "min.value" not in lake.data_files("t")[0]
    assert values(settings) == [1, 2, 3]
    assert not damages(lake, "t", deep=True)


def test_versions_stay_readable_however_old_the_log_is(settings: Settings) -> None:
    """Delta itself removes commits that are older than 30 days whenever it writes a checkpoint, each 100 commits."""
    lake = Lake(settings)
    for number in range(60):
        lake.replace("t", {"day": [DAY]}, rows(number))
    age(settings, 60)
    for number in range(60, 160):
        lake.replace("t", {"day": [DAY]}, rows(number))
    assert list(Path(settings.home, "lake", "t", "_delta_log").glob("*.checkpoint.parquet"))
    assert values(settings, version=3) == [3]


def test_only_versions_that_nobody_needs_are_removed(settings: Settings) -> None:
    lake = Lake(settings)
    for number in range(5):
        lake.replace("t", {"day": [DAY]}, rows(number))
    age(settings, 40)
    month = timedelta(days=30)
    expected = Maintenance(settings, dry_run=True).remove_old_versions("t", {2}, month)
    assert values(settings, version=0) == [0]
    assert Maintenance(settings).remove_old_versions("t", {2}, month) == expected
    assert expected.files == 3
    assert expected.size > 0
    assert (values(settings), values(settings, version=2)) == ([4], [2])
    with pytest.raises(RefusedError):
        values(settings, version=1)
    assert Maintenance(settings).remove_old_versions("t", {2}, month) == NOTHING


def test_young_versions_and_versions_that_are_no_longer_known_do_not_matter(settings: Settings) -> None:
    lake = Lake(settings)
    for number in range(3):
        lake.replace("t", {"day": [DAY]}, rows(number))
    assert Maintenance(settings).remove_old_versions("t", {999}, MIN_RETENTION) == NOTHING
    assert values(settings, version=0) == [0]
    with pytest.raises(ValueError, match="7 days"):
        Maintenance(settings).remove_old_versions("t", (), timedelta(days=6))


def test_a_file_of_a_writer_that_was_killed_is_removed_when_it_is_old(settings: Settings) -> None:
    Lake(settings).replace("t", {"day": [DAY]}, rows(1))
    orphan = Path(settings.home, "lake", "t", f"day={DAY}", "part-00000-orphan.parquet")
    orphan.write_bytes(b"half")
    assert Maintenance(settings).remove_old_versions("t", (), MIN_RETENTION) == NOTHING
    age(settings, 8)
    assert Maintenance(settings).remove_old_versions("t", (), MIN_RETENTION) == Removed(1, 4)
    assert not orphan.exists()
    assert values(settings) == [1]


@pytest.mark.parametrize("partition", [["day"], []], ids=["by day", "not partitioned"])
def test_many_small_files_of_a_partition_are_joined(settings: Settings, partition: list[str]) -> None:
    lake = Lake(settings)
    for number in range(MANY_FILES - 1):
        lake.append("t", rows(number), partition)
    assert Maintenance(settings).join_small_files("t") == 0
    lake.append("t", rows(99), partition)
    assert Maintenance(settings, dry_run=True).join_small_files("t") == MANY_FILES
    assert len(lake.files("t")) == MANY_FILES
    assert Maintenance(settings).join_small_files("t") == MANY_FILES
    assert len(lake.files("t")) == 1
    assert values(settings) == [*range(MANY_FILES - 1), 99]
    assert Maintenance(settings).join_small_files("t") == 0


def test_beside_writers_nothing_is_lost_or_doubled(settings: Settings) -> None:
    """One thread appends, one replaces its own day, while files are joined and old versions removed."""
    lake, other = Lake(settings), date(2025, 3, 4)
    lake.append("t", rows(0), ["day"])
    stop = threading.Event()

    def append() -> None:
        for number in range(1, 40):
            lake.append("t", rows(number), ["day"])

    def replace() -> None:
        for number in range(40):
            day = pa.array([other], pa.date32())
            lake.replace("t", {"day": [other]}, pa.table({"day": day, "value": pa.array([1000 + number])}))

    def keep() -> None:
        maintenance = Maintenance(settings)
        while not stop.is_set():
            maintenance.join_small_files("t")
            maintenance.remove_old_versions("t", (), MIN_RETENTION)

    with ThreadPoolExecutor() as threads:
        keeper, writers = threads.submit(keep), [threads.submit(append), threads.submit(replace)]
        wait(writers)
        stop.set()
    for done in (keeper, *writers):
        done.result()
    assert values(settings) == [*range(40), 1039]


def kill_during(work: Callable[[Settings], object], settings: Settings, begun: Callable[[], bool]) -> None:
    """Run maintenance in a process of its own, and kill it as soon as it has begun to change files."""
    name = work.__name__
    code = (
        f"from tests.lake.test_maintenance import {name}, load_settings\n{name}(load_settings(home={settings.home!r}))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while worker.poll() is None and not begun():
        pass
    worker.kill()
    worker.wait()
    assert begun(), "it ended before it changed anything"


def join_files(settings: Settings) -> None:
    Maintenance(settings).join_small_files("t")


def remove_versions(settings: Settings) -> None:
    Maintenance(settings).remove_old_versions("t", {1}, timedelta(days=30))


def data_files(settings: Settings) -> set[str]:
    return {file.name for file in Path(settings.home, "lake", "t").rglob("*.parquet") if "_delta_log" not in file.parts}


def test_a_kill_while_files_are_joined_loses_nothing(settings: Settings) -> None:
    lake, sizes = Lake(settings), range(MANY_FILES)
    for number in sizes:
        lake.append("t", rows(*range(number * 50_000, (number + 1) * 50_000)), ["day"])
    before = data_files(settings)
    kill_during(join_files, settings, lambda: bool(data_files(settings) - before))
    assert values(settings) == list(range(len(sizes) * 50_000))
    join_files(settings)
    assert len(lake.files("t")) == 1
    assert values(settings) == list(range(len(sizes) * 50_000))
    age(settings, 40)
    Maintenance(settings).remove_old_versions("t", (), timedelta(days=30))
    assert len(data_files(settings)) == 1, "what the killed process wrote is removed like any file that nobody needs"


def test_a_kill_while_versions_are_removed_loses_nothing(settings: Settings) -> None:
    lake = Lake(settings)
    for number in range(3):
        lake.replace("t", {"day": [DAY]}, rows(number))
    unneeded = lake.files("t", 0)[0]
    for number in range(3_000):
        shutil.copy(unneeded, Path(unneeded).with_name(f"part-{number}.parquet"))
    age(settings, 40)
    before = len(data_files(settings))
    kill_during(remove_versions, settings, lambda: len(data_files(settings)) < before)
    assert (values(settings), values(settings, version=1)) == ([2], [1])
    remove_versions(settings)
    assert len(data_files(settings)) == 2
    assert (values(settings), values(settings, version=1)) == ([2], [1])


def test_leftovers_of_killed_processes_are_removed_when_they_are_old(settings: Settings) -> None:
    lake = Lake(settings)
    page = lake.write_blob("reports/customers/2025-03-03.html", b"page")
    left = [page.with_name(".2025-03-03.html." + "a" * 32), lake.path("raw", "t", "d", ".x.csv." + "0" * 32)]
    for file in left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    assert Maintenance(settings).remove_leftovers(NOW) == NOTHING
    later = NOW + timedelta(days=8)
    assert Maintenance(settings, dry_run=True).remove_leftovers(later) == Removed(2, 8)
    assert all(file.exists() for file in left)
    assert Maintenance(settings).remove_leftovers(later) == Removed(2, 8)
    assert page.exists()
    assert not any(file.exists() for file in left)


def test_old_pages_are_removed_and_the_shared_script_stays(settings: Settings) -> None:
    lake = Lake(settings)
    page = lake.write_blob("reports/customers/2025-03-03.html", b"page")
    script = lake.write_blob("reports/assets/plotly.min.js", b"script")
    raw = lake.write_blob("raw/t/d/0-x.csv", b"raw")
    assert Maintenance(settings).remove_reports(NOW + timedelta(days=300), timedelta(days=400)) == NOTHING
    assert Maintenance(settings).remove_reports(NOW + timedelta(days=401), timedelta(days=400)) == Removed(1, 4)
    assert not page.exists()
    assert script.exists()
    assert raw.exists()


def test_without_old_checkpoints_every_version_is_read_as_before(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "KEPT_CHECKPOINTS", 20)
    lake, log = Lake(settings), Path(settings.home, "lake", "t", "_delta_log")
    for number in range(45):
        lake.replace("t", {"day": [DAY]}, rows(number))
    before = {file.name for file in log.iterdir()}
    assert Maintenance(settings).remove_checkpoints("t", NOW) == NOTHING, "all are young"
    later = NOW + MIN_RETENTION + timedelta(days=1)
    planned = Maintenance(settings, dry_run=True).remove_checkpoints("t", later)
    assert {file.name for file in log.iterdir()} == before
    assert Maintenance(settings).remove_checkpoints("t", later) == planned
    gone = sorted(before - {file.name for file in log.iterdir()})
    # One in twenty commits stays, and the newest.
    assert gone == ["00000000000000000019.checkpoint.parquet"]
    assert [values(settings, version=number) for number in range(45)] == [[number] for number in range(45)]
    lake.replace("t", {"day": [DAY]}, rows(99))
    assert values(settings) == [99]


def test_a_table_whose_old_log_is_removed_stays_as_it_is(settings: Settings) -> None:
    lake, log = Lake(settings), Path(settings.home, "lake", "t", "_delta_log")
    for number in range(15):
        lake.replace("t", {"day": [DAY]}, rows(number))
    age(settings, 40)
    for number in range(15, 25):
        lake.replace("t", {"day": [DAY]}, rows(number))
    before, month = set(log.iterdir()), timedelta(days=30)
    assert Maintenance(settings).remove_commits("t", NOW - timedelta(days=11), month) == NOTHING
    planned = Maintenance(settings, dry_run=True).remove_commits("t", NOW, month)
    assert set(log.iterdir()) == before
    assert Maintenance(settings).remove_commits("t", NOW, month) == planned
    # The newest old checkpoint is that of version 9.
    assert sorted(file.name for file in before - set(log.iterdir())) == [f"{number:020}.json" for number in range(9)]
    assert [values(settings, version=number) for number in range(9, 25)] == [[number] for number in range(9, 25)]
    lake.replace("t", {"day": [DAY]}, rows(99))
    assert values(settings) == [99]
    assert not damages(lake, "t", deep=True)


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_kill_while_an_old_log_is_removed_loses_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, newest_first: bool
) -> None:
    """Between any two of the files that go, in whatever order they go, the table is what it was and can be written."""
    lake, log = Lake(settings), Path(settings.home, "lake", "t", "_delta_log")
    for number in range(12):
        lake.replace("t", {"day": [DAY]}, rows(number))
    age(settings, 40)
    Maintenance(settings).remove_commits("t", NOW, timedelta(days=30))
    kept = {file.name for file in log.iterdir()}
    assert f"{8:020}.json" not in kept
    shutil.rmtree(Path(settings.home, "lake", "t"))
    again = Lake(settings)
    for number in range(12):
        again.replace("t", {"day": [DAY]}, rows(number))
    for file in sorted((file for file in log.iterdir() if file.name not in kept), reverse=newest_first):
        file.unlink()
        assert values(settings) == [11]
    Lake(settings).replace("t", {"day": [DAY]}, rows(99))
    assert values(settings) == [99]


def test_old_states_are_removed_but_the_newest_of_each_model(settings: Settings) -> None:
    lake = Lake(settings)
    for path in ("state/a/2025-01-01", "state/a/2025-01-02", "state/b/2024-01-01", "state/b/.2024-01-02.partial"):
        lake.write_blob(path, b"state")
    month = timedelta(days=30)
    assert Maintenance(settings).remove_states(NOW, month) == NOTHING
    later = NOW + timedelta(days=31)
    assert Maintenance(settings, dry_run=True).remove_states(later, month) == Removed(1, 5)
    assert Maintenance(settings).remove_states(later, month) == Removed(1, 5)
    left = {file.path for file in lake.files_below("state")}
    assert left == {"state/a/2025-01-02", "state/b/2024-01-01", "state/b/.2024-01-02.partial"}


def test_an_empty_home_has_no_tables(settings: Settings) -> None:
    assert Maintenance(settings).tables() == []
    Lake(settings).replace("t.received", {"day": [DAY]}, rows(1))
    assert Maintenance(settings).tables() == ["t.received"]
