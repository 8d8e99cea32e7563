"""Telemetry of libraries: the one place that switches off what they send and silences what they print.

Called when `pipeline` is imported, so before any of the libraries it is about. It only sets variables and logger
levels and imports none of them. The variables go to child processes too (MLflow's server, Airflow's tasks).

Airflow's own usage data is Airflow's configuration, set where Airflow is started:
`AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=false`.
"""

from __future__ import annotations

import logging
import os

SWITCHES = {
    # MLflow wants the literal word; Evidently looks only whether it is there.
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # The library under Evidently's event logger, and what is left of its older telemetry.
    "ITERATIVE_DO_NOT_TRACK": "true",
    "EVIDENTLY_DISABLE_TELEMETRY": "1",
    "GX_ANALYTICS_ENABLED": "false",
    # Progress bars and links fill task logs with lines nobody reads.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # On standard output, where `--json` results belong.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "TQDM_DISABLE": "1",
    # MLflow sets its own logger when it is imported, so a level given here would not last.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # Without a git executable MLflow would print a page about it.
    "GIT_PYTHON_REFRESH": "quiet",
}

QUIET = (
    "alembic",
    "evidently",
    "fsspec",
    "great_expectations",
    "iterative_telemetry",
    "matplotlib",
    "mlflow",
    "numba",
    "skops",
    "urllib3",
)


def disable_telemetry() -> None:
    """Switch off telemetry and progress bars and let libraries log warnings only.

    Variables are set, not defaulted: a stray `DO_NOT_TRACK=0` in somebody's shell must not open a connection.
    """
    os.environ.update(SWITCHES)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
