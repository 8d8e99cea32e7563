"""
### Stores

Forecasts every store's sales on each planned day of the next six weeks.

**Purpose:** build features of the planned days → forecast with the champion, with intervals → write the report.

**Inputs:** tables `store_days`, `stores` and `store_plans`; the champion of `store_sales`. Runs when any of them
changes. An event only starts the run; the run itself works on every pending day. In a manual run, *From* and *Until*
give the as-of days.

**Outputs:** tables `store_features`, `store_forecasts` and `store_forecast_sums` for each as-of day (computed from
everything strictly before it; forecasts of earlier days are kept), the state from which the prediction service
answers, the day's report, and an asset event for each table.

**Safe to run again?** Yes. Each as-of day replaces its earlier results.

**When it fails**

- `score` and `write_report` skipped: there is no champion. Trigger `train_store_sales`; its promotion starts this DAG.
- `score` reports that nothing is planned: `ingest_store_plans` brought no plan for the days ahead. A day without a plan
  is not forecast, because its opening and promotions are unknown.
- `build_features` reports that a table does not exist: nothing has been ingested yet.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

stores = scoring_dag("stores", __doc__)
