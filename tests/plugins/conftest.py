"""Airflow under a folder of its own."""

from __future__ import annotations

import os
import tempfile

# Airflow reads these when it is first imported; a folder that another test has set serves as well.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="aisle-airflow-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"
