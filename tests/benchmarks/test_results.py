"""The table of `make bench`: ratios, goals, the JSON, and the README that is written from it."""

from __future__ import annotations

import json

import pytest

from benchmarks.readme import BEGIN, END, FIGURES, README, cells, markdown, with_figures
from benchmarks.results import Goal, Row, Run

MACHINE = {"processor": "x86_64", "cores": "2", "memory": "8 GB", "system": "Linux"}
ROW = Row("ingestion", "all lines", 4.0, 3.0, 1234.5, "pandas", 2.0, 2.0, 500.0, Goal(ratio=2.0, peak_mb=2000), 1.5)


def run_of(*rows: Row) -> Run:
    return Run(rows, MACHINE, {"python": "3.11"}, "2025-01-01")


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (None, None),
        (Goal(ratio=1.5), True),
        (Goal(ratio=1.4), False),
        (Goal(seconds=4.0), True),
        (Goal(seconds=3.9), False),
        (Goal(ratio=1.5, peak_mb=1000), False),
    ],
)
def test_a_goal_is_reached_or_missed(goal: Goal | None, reached: bool | None) -> None:
    row = Row("g", "w", 4.0, 3.0, 1234.5, "pandas", 2.0, 2.0, None, goal)
    assert row.reached is reached


def test_a_ratio_that_could_not_be_measured_misses_its_goal() -> None:
    assert Row("g", "w", 1.0, 1.0, goal=Goal(ratio=9.0)).reached is False


def test_a_run_survives_json_and_the_table_tells_all_of_it() -> None:
    run = run_of(ROW, Row("drift", "a part", 123.4, 0.5))
    record = json.loads(json.dumps(run.as_dict()))
    assert record["rows"][0] | {"ratio": 1.5, "reached": True} == record["rows"][0]
    restored = Run.from_dict(record)
    assert restored.as_dict() == run.as_dict()
    assert cells(ROW) == (
        *("all lines", "4.00", "3.00", "1,234", "pandas", "2.00", "2.00", "1.50", "2 ×, 2,000 MB", "reached", "1.5"),
    )
    assert cells(run.rows[1])[:4] == ("a part", "123", "0.50", "")
    lines = markdown(restored).splitlines()
    widths = {line.count("|") for line in lines if line.startswith("|")}
    assert len(widths) == 1, "every row has as many cells as the header"


def test_groups_that_are_measured_again_replace_themselves_alone() -> None:
    first = run_of(Row("a", "old", 1, 1), Row("b", "old", 1, 1), Row("a", "older", 1, 1))
    again = run_of(Row("b", "new", 1, 1), Row("c", "new", 1, 1))
    names = [(row.group, row.what) for row in again.after(first).rows]
    assert names == [("a", "old"), ("a", "older"), ("b", "new"), ("c", "new")]


def test_only_what_is_between_the_marks_is_written() -> None:
    page = f"before\n{BEGIN}old figures\n{END}after\n"
    written = with_figures(page, run_of(ROW))
    assert written.startswith(f"before\n{BEGIN}")
    assert written.endswith(f"{END}after\n")
    assert "old figures" not in written
    assert "| all lines | 4.00 |" in written
    assert with_figures(written, run_of(ROW)) == written
    with pytest.raises(ValueError, match="marks"):
        with_figures("no marks", run_of(ROW))


def test_the_readme_has_the_figures_of_the_json() -> None:
    """After a run: `python -m benchmarks.readme`."""
    run = Run.from_dict(json.loads(FIGURES.read_text()))
    page = README.read_text()
    assert with_figures(page, run) == page
