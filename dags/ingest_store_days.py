"""
### Ingest store days

Ingests what each store sold on a day, and whether it was open, had a promotion or a holiday.

**Purpose:** wait for the delivery → keep its original bytes → validate every row → commit clean rows and quarantine.

**Inputs:** the source of `store_days` in `sources.yaml`. A nightly run takes the day of its data interval (UTC). In a
manual run, the form's *From* and *Until* give the days and *Source* picks one of several sources.

**Outputs:** tables `store_days`, `store_days.quarantine` and `ledger`; an event of the asset `store_days`.

**Safe to run again?** Yes, at any time. A delivery replaces its earlier version; the same bytes again change nothing.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the source, and clear the task when the delivery is
  there.
- `refusals` is red: at least one whole delivery was refused and nothing of it was committed; the run's other deliveries
  were. The log gives each reason.
- Rows in quarantine do not fail a run. Typical reasons: sales on a closed day, negative sales, the same store and day
  twice, an unknown holiday. See `aisle quarantine list`.
- A store that was open and sold nothing is only a warning in the delivery's report: the row is committed.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_store_days = ingestion_dag("store_days", __doc__)
