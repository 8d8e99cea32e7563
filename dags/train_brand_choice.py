"""
### Train brand_choice

Trains a challenger, which replaces the champion if it is better. The model predicts which brand a purchase is of.

**Purpose:** build features → train and register a challenger → gate → promote, at once or after approval.

**Inputs:** tables `visits` and `people` up to the as-of day. Runs each Monday, when `watch` requests it (asset
`retrain_brand_choice`), or by hand. The form's defaults are those of the weekly run.

**Outputs:** a version of the registered model `brand_choice`, the gate's decision and metrics on the version and in
table `promotions`, and an event of the asset `brand_choice_champion` if it was promoted.

**Safe to run again?** Yes. The same as-of day, seed and tables give the same version; on a tie the gate keeps the
champion.

**When it fails**

- `promote` skipped: the gate kept the champion, or a person rejected the challenger. The log of `gate` and `aisle
  models` give the reasons.
- `approve` waits: answer under *Required actions* in the menu. Without an answer in three days it fails and the
  champion stays.
- `train` refuses: fewer than two brands were bought often enough. Ingest more days.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_brand_choice = training_dag("brand_choice", __doc__)
