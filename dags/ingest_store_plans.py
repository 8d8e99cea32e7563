"""
### Ingest store plans

Brings in what is planned of each store's days ahead: opening, promotions, holidays.

**Purpose:** wait for the delivery → keep its bytes as they came → check every row → commit clean rows and quarantine.

**Inputs:** the source of `store_plans` in `sources.yaml`. A nightly run takes the day of its data interval (UTC).
Started by hand, the form's *From* and *Until* say which days; *Source* picks one of several sources.

**Outputs:** tables `store_plans`, `store_plans.quarantine` and `ledger`; an event of the asset `store_plans`.

**Safe to run again?** Yes, at once or a year later. A delivery replaces itself; the same bytes again change nothing.
Of two deliveries that plan the same day of a store, the one that landed last is believed.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the source; clear the task when it is there.
- `refusals` is red: a whole delivery was refused and nothing of it was committed. The log names each reason.
- Rows in quarantine do not fail a run: a store's day twice, a holiday that nobody knows, a day of which it
  is not said whether the store is open. See `aisle quarantine list`.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_store_plans = ingestion_dag("store_plans", __doc__)
