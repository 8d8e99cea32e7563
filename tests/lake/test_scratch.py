"""What a killed process left on the local disk is removed; what belongs to a process that lives is not."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.ingestion.staging import Stage
from pipeline.lake import sql
from pipeline.lake.maintenance import NOTHING, Maintenance, Removed
from pipeline.settings import Settings

KILLED = """
import os, signal
from pipeline.lake.scratch import scratch_path

folder = scratch_path("stage")
folder.mkdir()
(folder / "typed.parquet").write_bytes(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that holds no others."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "home"), threads=1)


def test_folders_of_killed_processes_are_removed_after_a_day(settings: Settings, temporary: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    (left,) = temporary.glob("aisle-stage-*")
    now, later = datetime.now(UTC), datetime.now(UTC) + timedelta(days=1, minutes=1)
    assert Maintenance(settings).remove_scratch(now) == NOTHING
    assert Maintenance(settings, dry_run=True).remove_scratch(later) == Removed(1, 4)
    assert left.exists()
    assert Maintenance(settings).remove_scratch(later) == Removed(1, 4)
    assert not left.exists()


def test_folders_of_this_process_and_of_others_stay(settings: Settings, temporary: Path) -> None:
    other = temporary / "aisle-stage-of-somebody"
    other.mkdir()
    with Stage(sql.Engine(settings)) as stage, sql.connected(settings) as con:
        con.execute("SET memory_limit = '20MB'")
        con.execute("CREATE TABLE t AS SELECT hash(range) AS value FROM range(4000000)")
        assert len(list(temporary.glob("aisle-*"))) == 3, "rows, what the engine spills, and the other one"
        assert Maintenance(settings).remove_scratch(datetime.now(UTC) + timedelta(days=9)) == NOTHING
        assert stage.rows == 0
    assert list(temporary.glob("aisle-*")) == [other], "whoever ends removes its own"
