"""
### Ingest transactions

Ingests the invoice lines of a day, or of any range of days.

**Purpose:** wait for the delivery → keep its original bytes → validate every row → commit clean rows and quarantine.

**Inputs:** the source of `transactions` in `sources.yaml`. A nightly run takes the day of its data interval (UTC). In a
manual run, the form's *From* and *Until* give the days and *Source* picks one of several sources.

**Outputs:** tables `transactions`, `transactions.quarantine` and `ledger`; an event of the asset `transactions` with
the newest day. For each delivery, rows read = clean + quarantined + exact repeats.

**Safe to run again?** Yes, at any time. A delivery replaces its earlier version; the same bytes again change nothing.
Backfill from *Trigger → Backfill* or with *From* and *Until*.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the source, and clear the task when the delivery is
  there.
- `refusals` is red: at least one whole delivery was refused (wrong columns, stale, far too few rows) and nothing of it
  was committed; the run's other deliveries were. The log gives each reason. Correct the file or `sources.yaml`, then
  run again.
- Rows in quarantine do not fail a run: list them with `aisle quarantine list`, correct them, and use `aisle quarantine
  replay`.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_transactions = ingestion_dag("transactions", __doc__)
