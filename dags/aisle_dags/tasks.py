"""How a task calls the library: faults become task outcomes, and the seconds are told apart."""

from __future__ import annotations

import builtins
import functools
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from airflow.sdk import get_current_context

from pipeline.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
R = TypeVar("R")

SECONDS = "seconds"


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Make a task of a function that calls `pipeline`.

    A refusal or a wrong setting fails the task at once, with its message and no retry: trying again cannot help.
    Anything else is retried as the DAG says. The seconds spent on imports and on work go to XCom as `seconds`.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _seconds() as spent:
            try:
                return function(*args, **kwargs)
            except (RefusedError, UsageError) as error:
                raise _fail(str(error)) from error
            finally:
                get_current_context()["ti"].xcom_push(SECONDS, spent())

    return run


def _fail(message: str) -> Exception:
    # The provider finds the exception under the name that the running Airflow has for it (3.1 and 3.3 differ).
    from airflow.providers.common.compat.sdk import AirflowFailException

    return AirflowFailException(message)


def skip(message: str) -> Exception:
    """What a task raises when there is nothing to do: it shows as skipped, with the reason in its log."""
    from airflow.providers.common.compat.sdk import AirflowSkipException

    return AirflowSkipException(message)


@contextmanager
def _seconds() -> Iterator[Callable[[], dict[str, float]]]:
    """Yield a function that says how long imports and everything else took so far, by timing `import` itself."""
    plain, started, importing, depth = builtins.__import__, time.perf_counter(), 0.0, 0

    def timed(*args: Any, **kwargs: Any) -> Any:
        nonlocal importing, depth
        depth += 1
        begun = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            depth -= 1
            if depth == 0:
                importing += time.perf_counter() - begun

    def spent() -> dict[str, float]:
        total = time.perf_counter() - started
        return {"imports": round(importing, 3), "work": round(total - importing, 3)}

    builtins.__import__ = timed
    try:
        yield spent
    finally:
        builtins.__import__ = plain
