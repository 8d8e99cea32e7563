"""
### Ingest transactions

Brings the invoice lines of a day, or of any stretch of days, from their source into the lake.

**Purpose:** wait for the delivery → keep its bytes as they came → check every row → commit clean rows and quarantine.

**Inputs:** the source of `transactions` in `sources.yaml`. A nightly run takes the day of its data interval (UTC).
Started by hand, the form's *From* and *Until* say which days; *Source* picks one of several sources.

**Outputs:** tables `transactions`, `transactions.quarantine` and `ledger`; an event of the asset `transactions` with
the newest day. For each delivery: rows read = clean + quarantined + exact repeats.

**Safe to run again?** Yes, at once or a year later. A delivery replaces itself; the same bytes again change nothing.
Backfill from *Trigger → Backfill* or with *From* and *Until*.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the shop; clear the task when it is there.
- `refusals` is red: a whole delivery was refused (wrong columns, stale, far too few rows) and nothing of it was
  committed; other deliveries of the run were. The log names each reason. Correct the file or `sources.yaml`, run again.
- Rows in quarantine do not fail a run: see `aisle quarantine list`, mend, `aisle quarantine replay`.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_transactions = ingestion_dag("transactions", __doc__)
