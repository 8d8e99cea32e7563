"""Let Airflow's scheduler import the modules of the tasks once (`pipeline/preload.py`), so that no task has to.

The workers of the LocalExecutor are forks of the scheduler, those of Celery are forks of `airflow celery worker`, and
a task is a fork of its worker. Airflow imports this module when any of its processes starts, because the plugins folder
is on its path.
"""

from __future__ import annotations

import logging
import sys

__all__: list[str] = []
"""Airflow would copy every other name of this module into its own settings."""

DECORATORS = ("airflow.providers.standard.decorators.python", "airflow.providers.standard.sensors.python")
"""What every task imports with its DAG file."""

log = logging.getLogger(__name__)


def forks_tasks(arguments: list[str], executor: str) -> bool:
    """Whether tasks are forks of the process with these command line arguments.

    Args:
        arguments: `sys.argv`.
        executor: Airflow's setting `core.executor`, which may name several.
    """
    match arguments[1:3]:
        case ["scheduler", *_]:
            return "LocalExecutor" in executor
        case ["celery", "worker"]:
            return True
    return False


def _start() -> None:
    from airflow.configuration import conf

    if not forks_tasks(sys.argv, conf.get("core", "executor")):
        return

    from pipeline.errors import UsageError
    from pipeline.settings import load_settings

    try:
        if not load_settings().preload:
            return
    except UsageError as error:
        # The tasks fail with this message, too, where people look for it.
        log.warning("The modules of the tasks are not imported: %s", error)
        return

    from pipeline.preload import import_task_modules

    for failed in import_task_modules(DECORATORS):
        log.warning("A module of the tasks cannot be imported: %s", failed)


_start()
