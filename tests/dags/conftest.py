"""Airflow under a folder of its own, and the DAGs as Airflow finds them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"

# Airflow reads these when it is first imported, and puts the DAGs folder on the path when it loads a DAG.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="aisle-airflow-")
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"
sys.path.insert(0, str(DAGS))

if TYPE_CHECKING:
    from airflow.sdk import DAG


@pytest.fixture(scope="session")
def dags() -> dict[str, DAG]:
    """Every DAG of the folder, by id."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS))
    assert not bag.import_errors, f"DAG files that cannot be imported: {bag.import_errors}"
    assert bag.dags, f"no DAG was found under {DAGS}: is .airflowignore too greedy?"
    return dict(bag.dags)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's own tables."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def run_dag(dags: dict[str, DAG], airflow_database: None) -> Callable[[str, dict[str, object], date], str]:
    """Run a DAG with the values of its form and a logical date; it must succeed; returns the run's id.

    `dag.test` keeps a form's values on the DAG, so each form names all that it needs.
    """

    def run(dag_id: str, form: dict[str, object], day: date) -> str:
        finished = dags[dag_id].test(logical_date=datetime(day.year, day.month, day.day, tzinfo=UTC), run_conf=form)
        assert finished.state == "success", f"{dag_id} ended {finished.state}"
        return str(finished.run_id)

    return run
