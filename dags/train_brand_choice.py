"""
### Train brand_choice

Makes a challenger, and lets it replace the champion if it is better.

**Purpose:** features → train, register as challenger → gate → promote, at once or after approval. Which brand a
purchase goes to.

**Inputs:** tables `visits` and `people` up to the as-of day. Runs each Monday, when `watch` asks (asset
`retrain_brand_choice`), or by hand: the form's defaults are those of the weekly run.

**Outputs:** a version of the registered model `brand_choice`, the gate's decision and figures on the version and in
table `promotions`, and an event of the asset `brand_choice_champion` when it was promoted.

**Safe to run again?** Yes. Same as-of day, seed and tables give the same version; the gate keeps the champion on a
tie.

**When it fails**

- `promote` skipped: the gate kept the champion (or a person rejected). The log of `gate` and `aisle models` say why.
- `approve` waits: *Required actions* in the menu. Without an answer in three days it fails and the champion stays.
- `train` refuses: fewer than two brands were bought often enough. Ingest more days.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_brand_choice = training_dag("brand_choice", "shoppers", __doc__)
