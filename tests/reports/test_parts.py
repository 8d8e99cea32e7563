"""Parts of pages: those that no page loads any more are removed."""

from __future__ import annotations

from pathlib import Path

from pipeline.lake.tables import Lake
from pipeline.reports.parts import parts_of, remove_other_parts, write_part
from pipeline.settings import Settings

PAGE = "reports/customers/2025-05-01.html"


def test_parts_that_a_page_does_not_load_are_removed_and_nothing_else_is(tmp_path: Path) -> None:
    lake = Lake(Settings(home=str(tmp_path)))
    assert parts_of(lake, PAGE) == frozenset()
    used, old, other_day = (
        write_part(lake, f"customers/{folder}", "show", [number])
        for number, folder in enumerate(("2025-05-01-customers", "2025-05-01-customers", "2025-05-02-customers"))
    )
    lake.write_blob("reports/customers/2025-05-01-customers/insiders.csv", b"1")
    lake.write_blob("reports/customers/2025-05-01-insiders.csv", b"1")
    lake.write_blob(PAGE, f'<script>const parts = [["1", "{used}"]];</script>'.encode())
    assert parts_of(lake, PAGE) == {used}
    before = {file.path for file in lake.files_below("reports")}
    assert remove_other_parts(lake, PAGE, parts_of(lake, PAGE)) == 1
    assert before - {file.path for file in lake.files_below("reports")} == {
        f"reports/customers/2025-05-01-customers/{old}"
    }
    assert f"reports/customers/2025-05-02-customers/{other_day}" in before
