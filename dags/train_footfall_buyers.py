"""
### Train footfall_buyers

Trains a challenger, which replaces the champion if it is better. The model predicts the number of
buyers from the number of visitors.

**Purpose:** build features → train and register a challenger → gate → promote, at once or after approval.

**Inputs:** table `footfall` up to the as-of day. Runs each Monday, when `watch` requests it (asset
`retrain_footfall_buyers`), or by hand. The form's defaults are those of the weekly run.

**Outputs:** a version of the registered model `footfall_buyers`, the gate's decision and metrics on the version and in
table `promotions`, and an event of the asset `footfall_buyers_champion` if it was promoted.

**Safe to run again?** Yes. The same as-of day, seed and tables give the same version; on a tie the gate keeps the
champion.

**When it fails**

- `promote` skipped: the gate kept the champion, or a person rejected the challenger. The log of `gate` and `aisle
  models` give the reasons.
- `approve` waits: answer under *Required actions* in the menu. Without an answer in three days it fails and the
  champion stays.
- `train` refuses: there are fewer than ten days, or the number of visitors does not vary.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_footfall_buyers = training_dag("footfall_buyers", __doc__)
