"""
### Shoppers

Predicts each person's next visit, and how it responds to prices.

**Purpose:** build features → predict with the champions → write the report.

**Inputs:** table `visits` and, if there is one, `people`; the champions of the four models. Runs when any of them
changes. An event only starts the run; the run itself works on every pending day. In a manual run, *From* and *Until*
give the as-of days.

**Outputs:** tables `shopper_features` and `shopper_scores` for each as-of day (computed from everything strictly before
it), the day's report, and events of the assets `shopper_features` and `shoppers_scores`.

**Safe to run again?** Yes. Each as-of day replaces its earlier results.

**When it fails**

- `score` and `write_report` skipped: a champion is missing. Trigger `train_purchase_probability`, `train_brand_choice`
  and `train_purchase_quantity`; their promotion starts this DAG.
- `build_features` reports that a table does not exist: nothing has been ingested yet.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

shoppers = scoring_dag("shoppers", __doc__)
