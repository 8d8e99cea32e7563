"""How a task calls the library: errors become task outcomes, and its log lines go to the task's log."""

from __future__ import annotations

import functools
import logging
import time
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import get_current_context
from airflow.sdk.log import mask_secret

from pipeline.errors import RefusedError, UsageError
from pipeline.logs import log_event, set_level
from pipeline.redaction import remembered

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")

log = logging.getLogger(__name__)


def step(function: Callable[..., R]) -> Callable[..., R]:
    """Make a function that calls `pipeline` fit to be a task.

    A refusal or a wrong setting fails the task at once, with its message and without a retry, because another attempt
    cannot help. Any other error is retried as the DAG says. The task's log gets the lines that `pipeline` logs, at the
    level of `AISLE_LOG_LEVEL`, and one when the task starts and one when it ends. Pages that the task writes
    link to it.

    The arguments' types are left open, because a DAG passes other tasks' results (`XComArg`) where the function takes
    values.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> R:
        from airflow.providers.common.compat.sdk import AirflowSkipException

        from pipeline.reports.page import Link, framed
        from pipeline.settings import load_settings

        # To save a model, skops looks for its classes in every loaded module, and Airflow's modules warn of each name
        # that is deprecated: a thousand lines in the log of a training.
        warnings.filterwarnings("ignore", module=r"skops\.io\._utils")
        task = get_current_context()["ti"]
        fields = {"dag": task.dag_id, "task": task.task_id, "run": task.run_id}
        start, outcome = time.monotonic(), "failed"
        try:
            set_level(load_settings().log_level)
            # Airflow writes the tracebacks of tasks, and this is its own means to hide what they hold.
            for secret in remembered():
                mask_secret(secret)
            _use_all_cores()
            log_event(log, "task started", **fields)
            with framed(links=[Link("The task that wrote this page", task.log_url)]):
                result = function(*args, **kwargs)
            outcome = "finished"
            return result
        except AirflowSkipException:
            outcome = "skipped"
            raise
        except (RefusedError, UsageError) as error:
            raise _fail(str(error)) from error
        finally:
            level = logging.ERROR if outcome == "failed" else logging.INFO
            log_event(log, f"task {outcome}", level, **fields, seconds=round(time.monotonic() - start, 3))

    return run


def _use_all_cores() -> None:
    """Undo the limit of one thread under which `airflow_local_settings` loads BLAS: a matrix product on one thread has
    other last digits, and a task should give the result of the command line.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from pipeline.settings import blas_threads

    threadpool_limits(blas_threads(), user_api="blas")


def _fail(message: str) -> Exception:
    # The provider exports the exception under the name it has in the running Airflow (3.1 and 3.3 differ).
    from airflow.providers.common.compat.sdk import AirflowFailException

    return AirflowFailException(message)


def skip(message: str) -> Exception:
    """The exception for a task that has nothing to do: the task is shown as skipped, with the reason in its log."""
    from airflow.providers.common.compat.sdk import AirflowSkipException

    return AirflowSkipException(message)
