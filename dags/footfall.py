"""
### Footfall

What the days at the door were like, and how many buyers a number of visitors means.

**Purpose:** features → what the champions expect → the morning's page.

**Inputs:** table `footfall`. Runs when one of them changes or another version became champion; an event is a hint,
and the run works on every day that is pending. Started by hand, *From* and *Until* say which as-of days.

**Outputs:** tables `footfall_features` and `footfall_predictions` for each as-of day (they know everything strictly
before it), the page of the day, and events of the assets `footfall_features` and `footfall_scores`.

**Safe to run again?** Yes. Each as-of day replaces itself.

**When it fails**

- `score` and `write_report` skipped: a champion is missing. Trigger `train_footfall_buyers`; then this runs.
- `build_features` says that a table does not exist: nothing was ingested yet.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

footfall = scoring_dag(
    "footfall",
    __doc__,
    inputs=["footfall"],
    features="footfall_features",
    models=["footfall_buyers"],
)
