"""
### Ingest store days

Brings in what each store sold on a day, and whether it was open, had a promotion or a holiday.

**Purpose:** wait for the delivery → keep its bytes as they came → check every row → commit clean rows and quarantine.

**Inputs:** the source of `store_days` in `sources.yaml`. A nightly run takes the day of its data interval (UTC).
Started by hand, the form's *From* and *Until* say which days; *Source* picks one of several sources.

**Outputs:** tables `store_days`, `store_days.quarantine` and `ledger`; an event of the asset `store_days`.

**Safe to run again?** Yes, at once or a year later. A delivery replaces itself; the same bytes again change nothing.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the source; clear the task when it is there.
- `refusals` is red: a whole delivery was refused and nothing of it was committed. The log names each reason.
- Rows in quarantine do not fail a run: sales while closed, negative sales, a store's day twice, a holiday that
  nobody knows. See `aisle quarantine list`.
- A store that was open and sold nothing is only a warning on the delivery's page: the row stands.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_store_days = ingestion_dag("store_days", __doc__)
