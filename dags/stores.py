"""
### Stores

What every store will sell on each planned day of the next six weeks.

**Purpose:** features of the planned days → the champion's forecast with intervals → the morning's page.

**Inputs:** tables `store_days`, `stores` and `store_plans`. Runs when one of them changes or another version became
champion; an event is a hint, and the run works on every day that is pending. Started by hand, *From* and *Until* say
which as-of days.

**Outputs:** tables `store_features` and `store_forecasts` for each as-of day (they know everything strictly before
it; forecasts of earlier mornings stay), the state that the prediction service answers from, the page of the day, and an
asset event for each table.

**Safe to run again?** Yes. Each as-of day replaces itself.

**When it fails**

- `score` and `write_report` skipped: there is no champion. Trigger `train_store_sales`; then this runs.
- `score` says that nothing is planned: `ingest_store_plans` did not bring the days ahead. A day without a plan is not
  forecast, because whether it is open or promoted would be a guess.
- `build_features` says that a table does not exist: nothing was ingested yet.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

stores = scoring_dag(
    "stores",
    __doc__,
    inputs=["store_days", "stores", "store_plans"],
    features="store_features",
    models=["store_sales"],
)
