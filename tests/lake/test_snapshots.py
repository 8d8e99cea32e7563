"""Versions of tables that are kept: never an old one for the newest, never that of a table that is gone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from pipeline.errors import RefusedError
from pipeline.lake import snapshots
from pipeline.lake.health import set_aside
from pipeline.lake.tables import Lake
from pipeline.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path))


def rows(part: str, x: int) -> pa.Table:
    return pa.table({"part": [part], "x": [x]})


def contents(lake: Lake) -> list[int]:
    return sorted(lake.read("t")["x"].to_pylist())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of the tables that were opened from their logs."""
    found: list[str] = []

    def opening(address: str, **options: object) -> DeltaTable:
        found.append(address)
        return DeltaTable(address, **options)  # type: ignore[arg-type]

    opening.is_deltatable = DeltaTable.is_deltatable  # type: ignore[attr-defined]
    monkeypatch.setattr(snapshots, "DeltaTable", opening)
    return found


def test_what_others_write_is_seen(settings: Settings) -> None:
    mine, theirs = Lake(settings), Lake(settings)
    mine.replace("t", {"part": ["a"]}, rows("a", 1))
    assert contents(mine) == contents(theirs) == [1]
    theirs.replace("t", {"part": ["b"]}, rows("b", 2))
    assert (mine.version("t"), contents(mine), mine.row_counts("t", "part")) == (1, [1, 2], {"a": 1, "b": 1})
    mine.replace("t", {"part": ["a"]}, rows("a", 3))
    assert contents(theirs) == [2, 3]
    assert mine.read("t", 0)["x"].to_pylist() == [1]
    assert contents(mine) == [2, 3]


def test_a_table_is_opened_once_in_so_many_commits(settings: Settings, opened: list[str]) -> None:
    lake = Lake(settings)
    lake.append("t", rows("a", 0), ["part"])
    for n in range(snapshots.MAX_COMMITS - 1):
        lake.replace("t", {"part": [str(n)]}, rows(str(n), n))
        assert lake.exists("t")
        assert lake.row_counts("t", "part")[str(n)] == 1
    assert len(opened) == 1
    lake.replace("t", {"part": ["b"]}, rows("b", 1))
    assert lake.version("t") == snapshots.MAX_COMMITS
    assert len(opened) == 2


@pytest.mark.parametrize("again", [0, 1, 3])
def test_a_table_that_was_moved_away_or_written_anew_is_noticed(settings: Settings, again: int) -> None:
    lake = Lake(settings)
    for x in range(2):
        lake.replace("t", {"part": ["a"]}, rows("a", x))
    assert lake.version("t") == 1
    set_aside(Lake(settings), "t")
    for x in range(again):
        Lake(settings).replace("t", {"part": ["b"]}, rows("b", 10 + x))
    assert lake.exists("t") == bool(again)
    if again:
        assert (lake.version("t"), contents(lake)) == (again - 1, [10 + again - 1])
    else:
        with pytest.raises(RefusedError, match="does not exist yet"):
            lake.version("t")
