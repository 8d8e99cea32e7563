"""
### Train purchase_quantity

Trains a challenger, which replaces the champion if it is better. The model predicts how many units a purchase has.

**Purpose:** build features → train and register a challenger → gate → promote, at once or after approval.

**Inputs:** tables `visits` and `people` up to the as-of day. Runs each Monday, when `watch` requests it (asset
`retrain_purchase_quantity`), or by hand. The form's defaults are those of the weekly run.

**Outputs:** a version of the registered model `purchase_quantity`, the gate's decision and metrics on the version and
in table `promotions`, and an event of the asset `purchase_quantity_champion` if it was promoted.

**Safe to run again?** Yes. The same as-of day, seed and tables give the same version; on a tie the gate keeps the
champion.

**When it fails**

- `promote` skipped: the gate kept the champion, or a person rejected the challenger. The log of `gate` and `aisle
  models` give the reasons.
- `approve` waits: answer under *Required actions* in the menu. Without an answer in three days it fails and the
  champion stays.
- `train` refuses: no brand was bought often enough. Ingest more days.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_purchase_quantity = training_dag("purchase_quantity", __doc__)
