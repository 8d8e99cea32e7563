"""
### Train customer_segments

Trains a challenger, which replaces the champion if it is better. The model groups the customers into segments.

**Purpose:** build features → choose the number of segments k, train and register a challenger → gate → promote, at once
or after approval.

**Inputs:** table `transactions` up to the as-of day, over the window of the nightly features (`AISLE_WINDOW_DAYS`),
because a model is scored on the window that it was trained on. Runs each Monday, when `watch` requests it (asset
`retrain_customer_segments`), or by hand. The form's defaults are those of the weekly run.

**Outputs:** a version of the registered model `customer_segments` with its curve of k, the gate's decision and metrics
on the version and in table `promotions`, and an event of the asset `customer_segments_champion` if it was promoted.

**Safe to run again?** Yes. The same as-of day, seed and tables give the same version; on a tie the gate keeps the
champion.

**When it fails**

- `promote` skipped: the gate kept the champion, or a person rejected the challenger. The log of `gate` and `aisle
  models` give the reasons.
- `approve` waits: answer under *Required actions* in the menu. Without an answer in three days it fails and the
  champion stays.
- `train` refuses because there are too few customers in the window. Ingest more history, or choose a later as-of day.
- `train` finds no admissible k: the message contains the curve of k. Look at the customers' report for what changed.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_customer_segments = training_dag("customer_segments", __doc__)
