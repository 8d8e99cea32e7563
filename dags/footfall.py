"""
### Footfall

Describes the days' numbers of visitors and predicts how many of them buy.

**Purpose:** build features → predict with the champion → write the report.

**Inputs:** table `footfall`; the champion of `footfall_buyers`. Runs when either changes. An event only starts the run;
the run itself works on every pending day. In a manual run, *From* and *Until* give the as-of days.

**Outputs:** tables `footfall_features` and `footfall_predictions` for each as-of day (computed from everything strictly
before it), the day's report, and events of the assets `footfall_features` and `footfall_scores`.

**Safe to run again?** Yes. Each as-of day replaces its earlier results.

**When it fails**

- `score` and `write_report` skipped: there is no champion. Trigger `train_footfall_buyers`; its promotion starts this
  DAG.
- `build_features` reports that a table does not exist: nothing has been ingested yet.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

footfall = scoring_dag("footfall", __doc__)
