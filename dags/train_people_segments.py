"""
### Train people_segments

Makes a challenger, and lets it replace the champion if it is better.

**Purpose:** features → train, register as challenger → gate → promote, at once or after approval. What kinds of
people there are.

**Inputs:** table `people` as it stands, for it knows no days. `visits` give the as-of day; where there are none, the
model is undated. Runs each Monday, when `watch` asks (asset `retrain_people_segments`), or by hand: the form's
defaults are those of the weekly run.

**Outputs:** a version of the registered model `people_segments`, the gate's decision and figures on the version and
in table `promotions`, and an event of the asset `people_segments_champion` when it was promoted.

**Safe to run again?** Yes. Same as-of day, seed and tables give the same version; the gate keeps the champion on a
tie.

**When it fails**

- `promote` skipped: the gate kept the champion (or a person rejected). The log of `gate` and `aisle models` say why.
- `approve` waits: *Required actions* in the menu. Without an answer in three days it fails and the champion stays.
- `train` refuses: too few people, or columns that are the same for all of them.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_people_segments = training_dag("people_segments", "shoppers", __doc__)
