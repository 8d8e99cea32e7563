"""
### Housekeeping

Keeps the home small, once a week.

**Purpose:** join small files, remove old versions of tables, what killed processes left, and old pages.

**Inputs:** every table of the lake, the pages, and the registry, which says which versions of the tables its models
were trained on.

**Outputs:** the same tables with fewer files. Rows, raw bytes, the ledger and the registry stay.

**Safe to run again?** Yes, at any time and beside any other DAG: no file younger than a week is removed, and partitions
that somebody writes are left as they are.

**When it fails**

- The registry cannot be read: nothing was removed, because it is not known what its models need. `aisle doctor`.
- To see what it would do: `aisle housekeeping --dry-run`.
"""

from __future__ import annotations

from airflow.sdk import dag, task
from airflow.timetables.trigger import CronTriggerTimetable

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY
from aisle_dags.tasks import step


@dag(
    schedule=CronTriggerTimetable("0 12 * * 0", timezone="UTC"),  # Sunday at noon, when no night is under way
    start_date=FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    doc_md=__doc__,
    tags={"housekeeping"},
)
def housekeeping() -> None:
    @task
    @step
    def keep_house() -> dict[str, int]:
        from pipeline.housekeeping import keep_house
        from pipeline.settings import load_settings

        done = keep_house(load_settings())
        return {"removed": done.removed.files, "bytes": done.removed.size, "joined": sum(done.joined.values())}

    keep_house()


housekeeping()
