"""
### Shoppers

What everybody's next visit is expected to bring, and how it answers to prices.

**Purpose:** features → what the champions expect → the morning's page.

**Inputs:** tables `visits` and, where there is one, `people`. Runs when one of them changes or another version became
champion; an event is a hint, and the run works on every day that is pending. Started by hand, *From* and *Until* say
which as-of days.

**Outputs:** tables `shopper_features` and `shopper_scores` for each as-of day (they know everything strictly before
it), the page of the day, and events of the assets `shopper_features` and `shoppers_scores`.

**Safe to run again?** Yes. Each as-of day replaces itself.

**When it fails**

- `score` and `write_report` skipped: a champion is missing. Trigger `train_purchase_probability`,
  `train_brand_choice` and `train_purchase_quantity`; then this runs.
- `build_features` says that a table does not exist: nothing was ingested yet.
- Out of memory: lower `AISLE_MEMORY_LIMIT`, so that the engine spills to disk earlier.

Airflow wires the tasks of every domain alike: `aisle_dags/scoring.py`.
"""

from __future__ import annotations

from aisle_dags.scoring import scoring_dag

shoppers = scoring_dag(
    "shoppers",
    __doc__,
    inputs=["visits", "people"],
    features="shopper_features",
    models=["purchase_probability", "brand_choice", "purchase_quantity", "people_segments"],
)
