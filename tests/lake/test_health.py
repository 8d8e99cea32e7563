"""What is wrong with a table's files is found, and a table that grew a column is not taken for a changed one."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
from deltalake.exceptions import DeltaError

from pipeline.errors import AisleError
from pipeline.lake import tables
from pipeline.lake.health import damages
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

FIRST, SECOND = date(2025, 3, 1), date(2025, 3, 2)


def rows(day: date, **columns: object) -> pa.Table:
    given = {"x": [1.0, None, 3.0], "names": [["a"], [], ["b", "c"]], "as_of": [day] * 3, **columns}
    return pa.table(given)


def test_a_column_that_is_added_later_changes_nothing_for_the_days_before(tmp_path: object) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    lake.replace("t", {"as_of": [FIRST]}, rows(FIRST))
    lake.replace("t", {"as_of": [SECOND]}, rows(SECOND, added=["p", None, "q"]))
    assert damages(lake, "t", deep=True) == []


def test_a_table_that_was_never_written_is_well(tmp_path: object) -> None:
    assert damages(Lake(Settings(home=str(tmp_path))), "t", deep=True) == []


@pytest.mark.parametrize("first", [True, False], ids=["first write", "later write"])
def test_a_full_disk_is_a_sentence(tmp_path: object, monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    if not first:
        lake.replace("t", {"as_of": [FIRST]}, rows(FIRST))

    def full(*_: object, **__: object) -> None:
        raise DeltaError("Generic LocalFileSystem error: Unable to copy data to file: No space left on device\n  0: x")

    monkeypatch.setattr(tables, "write_deltalake", full)
    for write in (lambda: lake.replace("t", {"as_of": [FIRST]}, rows(FIRST)), lambda: lake.append("t", rows(FIRST))):
        with pytest.raises(AisleError, match="cannot be written") as fault:
            write()
        assert str(fault.value.observed).endswith("No space left on device")
