"""
### Train customer_value

Trains a challenger, which replaces the champion if it is better. The model expects purchases
and revenue of each customer over the next 91 days.

**Purpose:** build features → fit on earlier windows, train and register a challenger → gate on the newest 92 days →
promote, at once or after approval.

**Inputs:** table `transactions` up to the as-of day. Runs each Monday, when `watch` requests it (asset
`retrain_customer_value`), or by hand. The form's defaults are those of the weekly run.

**Outputs:** a version of the registered model `customer_value` with its evaluation, the gate's decision and metrics on
the version and in table `promotions`, and an event of the asset `customer_value_champion` if it was promoted.

**Safe to run again?** Yes. The same as-of day, seed and tables give the same version; on a tie the gate keeps the
champion.

**When it fails**

- `promote` skipped: the gate kept the champion, or a person rejected the challenger. The log of `gate` and `aisle
  models` give the reasons.
- `approve` waits: answer under *Required actions* in the menu. Without an answer in three days it fails and the
  champion stays.
- `train` refuses because the history is too short: nine months are needed. Ingest more days.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_customer_value = training_dag("customer_value", __doc__)
