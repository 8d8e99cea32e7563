"""
### Ingest visits

Ingests who came to the shelf, whether they bought, what, and at which prices.

**Purpose:** wait for the delivery → keep its original bytes → validate every row → commit clean rows and quarantine.

**Inputs:** the source of `visits` in `sources.yaml`. A nightly run takes the day of its data interval (UTC). In a
manual run, the form's *From* and *Until* give the days and *Source* picks one of several sources.

**Outputs:** tables `visits`, `visits.quarantine` and `ledger`; an event of the asset `visits`.

**Safe to run again?** Yes, at any time. A delivery replaces its earlier version; the same bytes again change nothing.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the source, and clear the task when the delivery is
  there.
- `refusals` is red: at least one whole delivery was refused and nothing of it was committed; the run's other deliveries
  were. The log gives each reason.
- Rows in quarantine do not fail a run. Typical reasons: a brand without a price, a negative price, units without a
  purchase, the same person and day twice. See `aisle quarantine list`.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_visits = ingestion_dag("visits", __doc__)
