"""Ingestion through its DAG: a bad redelivery fails the run, and two first runs at once do not double a table."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.utils.state import DagRunState

from pipeline.lake.tables import Lake
from pipeline.settings import Settings, load_settings

PROJECT = Path(__file__).resolve().parents[2]
DAY, NEXT = date(2024, 7, 1), date(2024, 7, 2)
HANG_SECONDS = 600
SOURCES = """
time_zone: Europe/London
home_country: United Kingdom
tables:
  footfall:
    door:
      from: drops/{day}.csv
      columns: {day: day, visitors: visitors, buyers: buyers}
"""
RUN = """
import sys
from datetime import UTC, datetime
sys.path.insert(0, {dags!r})
from airflow.utils.db import initdb
initdb()
from airflow.dag_processing.dagbag import DagBag
dag = DagBag({dags!r}).dags["ingest_footfall"]
print("ready", flush=True)
sys.stdin.readline()
form = {{"from": "2024-01-01", "until": "2024-07-01", "source": None}}
finished = dag.test(logical_date=datetime(2024, 7, 1, tzinfo=UTC), run_conf=form)
sys.exit(finished.state != "success")
"""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Settings]:
    """A home whose footfall comes in a file a day."""
    (tmp_path / "sources.yaml").write_text(SOURCES)
    (tmp_path / "drops").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AISLE_HOME", str(tmp_path / "home"))
        patch.setenv("AISLE_DATA", str(tmp_path))
        patch.setenv("AISLE_SOURCES", str(tmp_path / "sources.yaml"))
        patch.setenv("AISLE_EXPECTATIONS", str(PROJECT / "expectations"))
        yield load_settings()


@pytest.mark.usefixtures("airflow_database")
def test_a_redelivery_that_breaks_the_contract_fails_the_run_and_the_good_day_stays(
    dags: dict[str, DAG], door: Settings, tmp_path: Path
) -> None:
    file, states = tmp_path / "drops" / f"{DAY}.csv", []
    form = {"from": str(DAY), "until": str(NEXT), "source": None}
    for row in (f"{DAY},100,40", f"{DAY},many,40"):
        file.write_text(f"day,visitors,buyers\n{row}\n")
        finished = dags["ingest_footfall"].test(logical_date=datetime(2024, 7, 2, tzinfo=UTC), run_conf=form)
        states.append({task.task_id: task.state for task in finished.get_task_instances()})
    assert finished.state == DagRunState.FAILED
    assert [state["refusals"] for state in states] == ["success", "failed"]
    assert [state["morning_page"] for state in states] == ["success", "success"]
    assert f"footfall: door--{DAY}.csv" in (door.home_path / "reports/index.html").read_text()
    (row,) = Lake(door).read("footfall").to_pylist()
    assert (row["visitors"], row["buyers"]) == (100, 40)


def test_two_first_runs_at_once_do_not_double_a_table(tmp_path: Path) -> None:
    program = RUN.format(dags=str(PROJECT / "dags"))
    runs = []
    for name in ("one", "two"):
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path / name),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AISLE_HOME": str(tmp_path / "home"),
            "AISLE_SOURCES": str(PROJECT / "sources.yaml"),
            "AISLE_EXPECTATIONS": str(PROJECT / "expectations"),
        }
        runs.append(
            subprocess.Popen(
                [sys.executable, "-c", program],
                env=environment,
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    for run in runs:
        assert run.stdout is not None
        while (line := run.stdout.readline()) and line.strip() != "ready":
            pass
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    outputs = [run.communicate(timeout=HANG_SECONDS)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)[-3000:]
    days = Lake(Settings(home=str(tmp_path / "home"))).read("footfall")["day"].to_pylist()
    assert len(days) == len(set(days)) == (date(2024, 7, 1) - date(2024, 1, 1)).days
