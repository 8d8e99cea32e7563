"""
### Customers

Describes each customer as of a day and assigns the champion's segment.

**Purpose:** build features → assign segments with the champion → write the report.

**Inputs:** table `transactions`; the champions of the domain. Runs when `transactions` or a champion changes.
An event only starts the run; the run itself works on the days that events name and on every day after the newest one
that has been scored. In a manual run, *From* and *Until* give the as-of days.

**Outputs:** tables `customer_features` and `customer_segments` for each as-of day (computed from everything strictly
before it), the tables of the domain's other models that have a champion (`recommendations`, `customer_value`), the
day's report, and events of the assets `customer_features` and `customers_scores`.

**Safe to run again?** Yes. Each as-of day replaces its earlier results. After correcting an old delivery, run the as-of
days from the day after it up to today, with *From* and *Until*.

**When it fails**

- `score` and `write_report` skipped: there is no champion yet. Trigger `train_customer_segments`; its promotion starts
  this DAG.
- `build_features` reports that a table does not exist: nothing has been ingested yet. Look at `ingest_transactions`.
- `score` fails on a missing feature: the champion was trained by other code. Train again, or use `aisle rollback`.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

customers = scoring_dag("customers", __doc__)
