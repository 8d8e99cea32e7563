"""
### Train footfall_buyers

Makes a challenger, and lets it replace the champion if it is better.

**Purpose:** features → train, register as challenger → gate → promote, at once or after approval. How many
buyers a number of visitors means.

**Inputs:** table `footfall` up to the as-of day. Runs each Monday, when `watch` asks (asset
`retrain_footfall_buyers`), or by hand: the form's defaults are those of the weekly run.

**Outputs:** a version of the registered model `footfall_buyers`, the gate's decision and figures on the version and
in table `promotions`, and an event of the asset `footfall_buyers_champion` when it was promoted.

**Safe to run again?** Yes. Same as-of day, seed and tables give the same version; the gate keeps the champion on a
tie.

**When it fails**

- `promote` skipped: the gate kept the champion (or a person rejected). The log of `gate` and `aisle models` say why.
- `approve` waits: *Required actions* in the menu. Without an answer in three days it fails and the champion stays.
- `train` refuses: fewer than ten days, or visitors that never vary.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_footfall_buyers = training_dag("footfall_buyers", "footfall", __doc__)
