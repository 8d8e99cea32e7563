"""
### Train customer_segments

Makes a challenger, and lets it replace the champion if it is better.

**Purpose:** features → train, choose k, register as challenger → gate → promote, at once or after approval.

**Inputs:** table `transactions` up to the as-of day. Runs each Monday, when `watch` asks (asset
`retrain_customer_segments`), or by hand: the form's defaults are those of the weekly run. The window is that of the
nightly features (`AISLE_WINDOW_DAYS`): a model of another window would be scored on what it never saw.

**Outputs:** a version of the registered model `customer_segments` with its curve of k, the gate's decision and figures
on the version and in table `promotions`, and an event of the asset `customer_segments_champion` when it was promoted.

**Safe to run again?** Yes. Same as-of day, seed and tables give the same model as another version; the gate keeps the
champion on a tie.

**When it fails**

- `promote` skipped: the gate kept the champion (or a person rejected). The log of `gate` and `aisle models` say why.
- `approve` waits: *Required actions* in the menu. Without an answer in three days it fails and the champion stays.
- `train` refuses for lack of customers: the window holds too few. Ingest more history, or choose a later as-of day.
- `train` finds no admissible k: the message holds the curve. Look at the features' page for what changed.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_customer_segments = training_dag("customer_segments", "customers", __doc__)
