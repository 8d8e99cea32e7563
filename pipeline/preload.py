"""Import what the tasks of the DAGs need, in the process from which the tasks are forked.

A module that its parent has imported costs a task nothing; importing it itself would take a task longer than most of
its work.

Modules are imported and nothing else: a fork has none of its parent's threads, so a lock that one of them held would
stay closed in every task. `duckdb` is not among them, because it starts threads when it is imported;
`_duckdb`, the compiled part of it, does not.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module

from pipeline.domains import DOMAINS
from pipeline.settings import variables_set

MODULES = (
    "pipeline.ingestion.steps",
    "pipeline.ingestion.validation",
    "pipeline.monitoring.watch",
    "pipeline.monitoring.report",
    "pipeline.training.lifecycle",
    "pipeline.training.scoring",
    # The modules above import these only when they need them.
    "_duckdb",
    "evidently.metrics",
    "ibis.backends.sql.compilers.duckdb",
    "ibis.formats.pandas",
    "jinja2.ext",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "narwhals.stable.v1",
    "pipeline.simulate.deliveries",
    "plotly.offline",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "skops.io",
    "upath.implementations.local",
)
"""What tasks import that takes long, beside the modules of the domains."""
WITHOUT_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}
"""Variables that keep OpenBLAS and the memory allocators of Arrow and Delta Lake from starting threads when loaded."""

log = logging.getLogger(__name__)


def import_task_modules(more: Sequence[str] = ()) -> list[str]:
    """Import the modules of the tasks without starting a thread.

    Args:
        more: names of further modules.

    Returns:
        What cannot be imported, with the reason. It is left to the tasks that need it, which fail with that reason.
    """
    names = (*MODULES, *more)
    imports: list[tuple[str, Callable[[], object]]] = [(name, partial(import_module, name)) for name in names]
    for domain in DOMAINS:
        imports += [(f"steps of {domain.name}", domain.steps), (f"models of {domain.name}", domain.specs)]
    failed = []
    with variables_set(WITHOUT_THREADS), _silence():
        for name, run in imports:
            try:
                run()
            except Exception as error:  # noqa: BLE001 - the scheduler must start whatever is wrong with a library
                failed.append(f"{name}: {error!r}")
    return failed


@contextmanager
def _silence() -> Iterator[None]:
    """Silence what libraries say when they are imported under Airflow's logging: thousands of lines."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
