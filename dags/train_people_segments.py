"""
### Train people_segments

Trains a challenger, which replaces the champion if it is better. The model groups the people into segments.

**Purpose:** build features → train and register a challenger → gate → promote, at once or after approval.

**Inputs:** table `people` as it is, because it has no days. `visits` give the as-of day; without visits the model is
undated. Runs each Monday, when `watch` requests it (asset `retrain_people_segments`), or by hand. The form's defaults
are those of the weekly run.

**Outputs:** a version of the registered model `people_segments`, the gate's decision and metrics on the version and in
table `promotions`, and an event of the asset `people_segments_champion` if it was promoted.

**Safe to run again?** Yes. The same as-of day, seed and tables give the same version; on a tie the gate keeps the
champion.

**When it fails**

- `promote` skipped: the gate kept the champion, or a person rejected the challenger. The log of `gate` and `aisle
  models` give the reasons.
- `approve` waits: answer under *Required actions* in the menu. Without an answer in three days it fails and the
  champion stays.
- `train` refuses: there are too few people, or columns have the same value for all of them.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_people_segments = training_dag("people_segments", __doc__)
