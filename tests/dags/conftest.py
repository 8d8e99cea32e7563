"""Airflow under a folder of its own, and the DAGs as Airflow finds them."""

from __future__ import annotations

import os
import sys
import tempfile
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
