"""
### Customers

What each customer is like as of a day, and which segment the champion puts them in.

**Purpose:** features → segments from the champion → the morning's page.

**Inputs:** table `transactions`; the champion of `customer_segments`. Runs when `transactions` changes or another
version became champion. An event is a hint: the run works on the days that events name, and on every day that came in
after the newest one done. Started by hand, *From* and *Until* say which as-of days; empty: what is pending.

**Outputs:** tables `customer_features` and `customer_segments` for each as-of day (they know everything strictly
before it), the page of the day, and events of the assets `customer_features` and `customers_scores`.

**Safe to run again?** Yes. Each as-of day replaces itself. After correcting an old delivery, run the as-of days from
the day after it up to today, by the form.

**When it fails**

- `score` and `write_report` skipped: there is no champion yet. Trigger `train_customer_segments`; then this runs.
- `build_features` says that a table does not exist: nothing was ingested yet. Look at `ingest_transactions`.
- `score` fails on a feature that is missing: the champion was trained by other code. Train again, or `aisle rollback`.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

customers = scoring_dag(
    "customers",
    __doc__,
    inputs=["transactions"],
    features="customer_features",
    models=["customer_segments"],
)
