"""
### Train store_sales

Trains a challenger, which replaces the champion if it is better. The model forecasts what every store sells on a day.

**Purpose:** build features → evaluate each candidate on the newest six weeks, held out of its training → train the best
one on all days and register it as challenger → gate → promote, at once or after approval.

**Inputs:** tables `store_days` and `stores` up to the as-of day; a year of history or more. Runs each Monday, when
`watch` requests it (asset `retrain_store_sales`), or by hand. The form's defaults are those of the weekly run.

**Outputs:** a row of table `store_trials` for each forecast of each candidate, a version of the registered model
`store_sales`, the gate's decision and metrics on the version and in table `promotions`, and an event of the asset
`store_sales_champion` if it was promoted.

**Safe to run again?** Yes. The same as-of day, seed and tables give the same version; on a tie the gate keeps the
champion.

**When it fails**

- `promote` skipped: the gate kept the champion, or a person rejected the challenger. The log of `gate` and `aisle
  models` give the reasons. A champion of the same kind that is younger than six weeks always stays: there are no days
  that neither has seen.
- `approve` waits: answer under *Required actions* in the menu. Without an answer in three days it fails and the
  champion stays.
- `try_candidate` refuses: the history is too short. Ingest earlier days.
- Out of memory: two candidates run at a time, and each needs 3 GB for a chain of a thousand stores. Choose fewer in the
  form.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag

train_store_sales = training_dag("store_sales", __doc__)
