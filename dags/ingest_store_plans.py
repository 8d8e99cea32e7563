"""
### Ingest store plans

Ingests each store's plan for the days ahead: opening, promotions, holidays.

**Purpose:** wait for the delivery → keep its original bytes → validate every row → commit clean rows and quarantine.

**Inputs:** the source of `store_plans` in `sources.yaml`. A nightly run takes the day of its data interval (UTC). In a
manual run, the form's *From* and *Until* give the days and *Source* picks one of several sources.

**Outputs:** tables `store_plans`, `store_plans.quarantine` and `ledger`; an event of the asset `store_plans`.

**Safe to run again?** Yes, at any time. A delivery replaces its earlier version; the same bytes again change nothing.
If two deliveries plan the same day of a store, the later delivery wins.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the source, and clear the task when the delivery is
  there.
- `refusals` is red: at least one whole delivery was refused and nothing of it was committed; the run's other deliveries
  were. The log gives each reason.
- Rows in quarantine do not fail a run. Typical reasons: the same store and day twice, an unknown holiday, a day that
  does not say whether the store is open. See `aisle quarantine list`.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_store_plans = ingestion_dag("store_plans", __doc__)
