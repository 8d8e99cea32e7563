"""
### Train store_sales

Makes a challenger, and lets it replace the champion if it is better.

**Purpose:** features → each candidate tried on the newest six weeks as if they had not come → the best fitted on all
days, registered as challenger → gate → promote, at once or after approval. What every store sells on a day.

**Inputs:** tables `store_days` and `stores` up to the as-of day; a year of history or more. Runs each Monday, when
`watch` asks for it, or by hand: the form's defaults are those of the weekly run.

**Outputs:** a row of table `store_trials` for each forecast of each candidate, a version of the registered model
`store_sales`, the gate's decision and figures on the version and in table `promotions`, and an event of the asset
`store_sales_champion` when it was promoted.

**Safe to run again?** Yes. Same as-of day, seed and tables give the same version; the gate keeps the champion on a
tie.

**When it fails**

- `promote` skipped: the gate kept the champion (or a person rejected). The log of `gate` and `aisle models` say why. A
  champion of the same kind that is younger than six weeks always stays: no unseen days could tell the two apart.
- `approve` waits: *Required actions* in the menu. Without an answer in three days it fails and the champion stays.
- `try_candidate` refuses: history is too short. Ingest earlier days.
- Out of memory: two candidates run at a time, at 3 GB each for a chain of a thousand stores. Choose fewer in the form.

Airflow wires the tasks of every model alike: `aisle_dags/training.py`.
"""

from __future__ import annotations

from aisle_dags.training import training_dag
from pipeline.domains import CANDIDATES

train_store_sales = training_dag("store_sales", "stores", __doc__, candidates=CANDIDATES["store_sales"])
